import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type Bytes, MIB } from "../../shared/units.js";
import { AlignedMemory } from "./aligned-memory.js";

/** One read has so much at most. */
export const MOST_READ: Bytes = 4 * MIB;

/** Reads a disk past the page cache, or through it where that can't be had. */
export class DirectReader {
  readonly #memory = new AlignedMemory(MOST_READ);

  private constructor(
    private readonly disk: FileHandle,
    private direct: FileHandle | undefined,
  ) {}

  static async open(disk: FileHandle): Promise<DirectReader> {
    const flags = constants.O_RDONLY | constants.O_DIRECT;
    return new DirectReader(disk, await open(`/proc/self/fd/${disk.fd}`, flags).catch(() => undefined));
  }

  /** @returns what was read; may be less than asked for, and is nothing at the end of the disk */
  async read(from: Bytes, length: Bytes): Promise<Buffer> {
    const buffer = this.#memory.view(length);
    try {
      const { bytesRead } = await (this.direct ?? this.disk).read(buffer, 0, length, from);
      return buffer.subarray(0, bytesRead);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EINVAL" || this.direct === undefined) throw error;
      if (!this.#memory.movesOn(error)) await this.close();
      return this.read(from, length);
    }
  }

  async close(): Promise<void> {
    await this.direct?.close();
    this.direct = undefined;
  }
}
