import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { VasError } from "../../shared/errors.js";
import { type Bytes, MIB } from "../../shared/units.js";
import type { ZeroRate } from "./zero-rate.js";

export interface VerifyZeroOptions {
  readonly disk: FileHandle;
  readonly start: Bytes;
  readonly end: Bytes;
  readonly rate: ZeroRate;
  readonly signal: AbortSignal;
}

/** The largest block of a disk, and so the alignment that reads past the page cache may need. */
const BLOCK: Bytes = 4096;
/** What the memory that V8 hands out is aligned to at least. */
const ALIGNED: Bytes = 16;
const MOST: Bytes = 4 * MIB;

/**
 * Reads a range of a disk back, past the page cache where the file system allows that: what the cache holds says nothing of
 * what the disk does. Everything is read, holes too.
 *
 * @throws VasError EIO with the first byte that is not zero, or the error of the read that failed
 */
export async function verifyZero({ disk, start, end, rate, signal }: VerifyZeroOptions): Promise<void> {
  const reader = await ZeroReader.open(disk);
  const zeros = Buffer.alloc(MOST);
  try {
    for (let from = start; from < end; ) {
      const length = Math.min(rate.step(MOST), end - from);
      await rate.take(length, signal);
      const found = await reader.read(from, length);
      if (found.length === 0) throw new VasError("EIO", `the disk ends at byte ${from}`);
      if (!found.equals(zeros.subarray(0, found.length))) {
        const at = from + found.findIndex((byte) => byte !== 0);
        throw new VasError("EIO", `byte ${at} of the disk is not zero, although zeros were written there`);
      }
      from += found.length;
    }
  } finally {
    await reader.close();
  }
}

/** Reads a disk past the page cache, or through it where that can't be had. */
class ZeroReader {
  readonly #memory = Buffer.allocUnsafeSlow(MOST + BLOCK);
  /** Where a buffer lies in memory can't be asked for, so the place in ours that the kernel accepts is looked for. */
  #skip = 0;

  private constructor(
    private readonly disk: FileHandle,
    private direct: FileHandle | undefined,
  ) {}

  static async open(disk: FileHandle): Promise<ZeroReader> {
    const flags = constants.O_RDONLY | constants.O_DIRECT;
    return new ZeroReader(disk, await open(`/proc/self/fd/${disk.fd}`, flags).catch(() => undefined));
  }

  /** @returns what was read; may be less than asked for, and is nothing at the end of the disk */
  async read(from: Bytes, length: Bytes): Promise<Buffer> {
    const buffer = this.#memory.subarray(this.#skip, this.#skip + length);
    try {
      const { bytesRead } = await (this.direct ?? this.disk).read(buffer, 0, length, from);
      return buffer.subarray(0, bytesRead);
    } catch (error) {
      // In a hole any place will do, so this may come late.
      if ((error as NodeJS.ErrnoException).code !== "EINVAL" || this.direct === undefined) throw error;
      this.#skip += ALIGNED;
      if (this.#skip === BLOCK) await this.close();
      return this.read(from, length);
    }
  }

  async close(): Promise<void> {
    await this.direct?.close();
    this.direct = undefined;
  }
}
