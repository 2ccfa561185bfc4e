import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type Bytes, MIB } from "../../shared/units.js";
import { AlignedMemory, isRefused } from "./aligned-memory.js";

/** One read has so much at most. */
export const MOST_READ: Bytes = 4 * MIB;

/**
 * Reads a disk past the page cache, or through it where that can't be had: some file systems have no such reads. A
 * block device always has, and nothing else will do there: the kernel data plane writes to it past the page cache,
 * which does not hear of that.
 */
export class DirectReader {
  readonly #memory = new AlignedMemory(MOST_READ);

  private constructor(
    private readonly disk: FileHandle,
    private direct: FileHandle | undefined,
    private readonly isBlockDevice: boolean,
  ) {}

  static async open(disk: FileHandle): Promise<DirectReader> {
    const isBlockDevice = (await disk.stat()).isBlockDevice();
    const flags = constants.O_RDONLY | constants.O_DIRECT;
    const direct = await open(`/proc/self/fd/${disk.fd}`, flags).catch((error: unknown) => {
      if (isBlockDevice) throw error;
      return undefined;
    });
    return new DirectReader(disk, direct, isBlockDevice);
  }

  /** @returns what was read; may be less than asked for, and is nothing at the end of the disk */
  async read(from: Bytes, length: Bytes): Promise<Buffer> {
    for (const place of this.#memory.places(length)) {
      try {
        return await readInto(place, this.direct ?? this.disk, from);
      } catch (error) {
        if (!isRefused(error) || this.direct === undefined) throw error;
      }
    }
    if (this.isBlockDevice) throw new Error(`the disk can't be read past the page cache at byte ${from}`);
    await this.close();
    return this.read(from, length);
  }

  async close(): Promise<void> {
    await this.direct?.close();
    this.direct = undefined;
  }
}

async function readInto(place: Buffer, file: FileHandle, from: Bytes): Promise<Buffer> {
  const { bytesRead } = await file.read(place, 0, place.length, from);
  return place.subarray(0, bytesRead);
}
