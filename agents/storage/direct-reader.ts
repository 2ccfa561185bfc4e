import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type Bytes, MIB } from "../../shared/units.js";
import { AlignedMemory, isRefused } from "./aligned-memory.js";

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
    for (const place of this.#memory.places(length)) {
      try {
        return await readInto(place, this.direct ?? this.disk, from);
      } catch (error) {
        if (!isRefused(error) || this.direct === undefined) throw error;
      }
    }
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
