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

  view(length: Bytes): Buffer {
    return this.#memory.subarray(this.#skip, this.#skip + length);
  }

  /** Whether an error is the kernel's word that the memory does not lie right, and there is another place to try. */
  movesOn(error: unknown): boolean {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL" || this.#skip + ALIGNED === BLOCK) return false;
    this.#skip += ALIGNED;
    return true;
  }
}
