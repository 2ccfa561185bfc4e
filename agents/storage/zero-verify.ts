import type { FileHandle } from "node:fs/promises";
import { VasError } from "../../shared/errors.js";
import type { Bytes } from "../../shared/units.js";
import { DirectReader, MOST_READ } from "./direct-reader.js";
import type { DiskRate } from "./disk-rate.js";

export interface VerifyZeroOptions {
  readonly disk: FileHandle;
  readonly start: Bytes;
  readonly end: Bytes;
  readonly rate: DiskRate;
  readonly signal: AbortSignal;
}

/**
 * Reads a range of a disk back, past the page cache where the file system allows that: what the cache holds says nothing of
 * what the disk does. Everything is read, holes too.
 *
 * @throws VasError EIO with the first byte that is not zero, or the error of the read that failed
 */
export async function verifyZero({ disk, start, end, rate, signal }: VerifyZeroOptions): Promise<void> {
  const reader = await DirectReader.open(disk);
  const zeros = Buffer.alloc(MOST_READ);
  try {
    for (let from = start; from < end; ) {
      const length = Math.min(rate.step(MOST_READ), end - from);
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
