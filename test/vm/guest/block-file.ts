import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { AlignedMemory, isRefused } from "../../../agents/storage/aligned-memory.js";
import { type ByteDevice, CHUNK } from "../../harness/chunked-io.js";

/**
 * A block device, read and written past the page cache: what was acknowledged was acknowledged by the device. Offsets and
 * lengths are whole sectors, and no request is longer than `CHUNK`.
 */
export class BlockFile implements ByteDevice {
  readonly #free: AlignedMemory[] = [];

  private constructor(private readonly file: FileHandle) {}

  static async open(path: string): Promise<BlockFile> {
    return new BlockFile(await open(path, constants.O_RDWR | constants.O_DIRECT));
  }

  /** The same for what can't be written to, as snapshots. */
  static async openReadOnly(path: string): Promise<BlockFile> {
    return new BlockFile(await open(path, constants.O_RDONLY | constants.O_DIRECT));
  }

  async read(offset: number, length: number): Promise<Buffer> {
    return this.#inMemory(length, async (place) => {
      const { bytesRead } = await this.file.read(place, 0, length, offset);
      if (bytesRead < length) throw new Error(`${bytesRead} of ${length} bytes were read at ${offset}`);
      return Buffer.from(place);
    });
  }

  async write(offset: number, data: Buffer): Promise<void> {
    await this.#inMemory(data.length, async (place) => {
      data.copy(place);
      const { bytesWritten } = await this.file.write(place, 0, data.length, offset);
      if (bytesWritten < data.length)
        throw new Error(`${bytesWritten} of ${data.length} bytes were written at ${offset}`);
    });
  }

  async flush(): Promise<void> {
    await this.file.datasync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  /** Runs the work in memory that the kernel accepts; it may begin in some that is refused. */
  async #inMemory<T>(length: number, work: (place: Buffer) => Promise<T>): Promise<T> {
    const memory = this.#free.pop() ?? new AlignedMemory(CHUNK);
    try {
      for (const place of memory.places(length)) {
        try {
          return await work(place);
        } catch (error) {
          if (!isRefused(error)) throw error;
        }
      }
      throw new Error("the device takes memory of no alignment");
    } finally {
      this.#free.push(memory);
    }
  }
}
