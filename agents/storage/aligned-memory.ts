import type { Bytes } from "../../shared/units.js";

/** The largest block of a disk, and so the alignment that reads past the page cache may need. */
const BLOCK: Bytes = 4096;
/** What the memory that V8 hands out is aligned to at least. */
const ALIGNED: Bytes = 16;

/**
 * Memory for reads past the page cache. Where a buffer lies can't be asked for, so the place in it that the kernel accepts is
 * looked for: in a hole any place will do, so a refusal may come late.
 */
export class AlignedMemory {
  readonly #memory: Buffer;
  #skip = 0;

  constructor(readonly length: Bytes) {
    this.#memory = Buffer.allocUnsafeSlow(length + BLOCK);
  }

  /**
   * The places to try one after the other, until one is not refused (EINVAL), from the one that was not refused last. If all
   * of them are, it is for another reason.
   */
  *places(length: Bytes): Generator<Buffer> {
    for (let tried = 0; tried < BLOCK; tried += ALIGNED) {
      yield this.#memory.subarray(this.#skip, this.#skip + length);
      this.#skip = (this.#skip + ALIGNED) % BLOCK;
    }
  }
}

/** The kernel's word that a read past the page cache is not possible so. */
export function isRefused(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EINVAL";
}
