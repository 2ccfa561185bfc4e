import type { Milliseconds } from "../../shared/units.js";

/** Failures nearer to each other than this are one: what was queued behind a fault fails with it. */
const APART_MS: Milliseconds = 150_000;
/** Failures longer ago than this count no more. */
const WINDOW_MS: Milliseconds = 3_600_000;
const MAX_FAILURES = 3;

/**
 * Tells a disk that has failed from one that had a fault. Its export is started again after each failed write or flush, and its
 * copies catch up; one that failed three times within an hour, minutes apart, is not worth that any more.
 */
export class DiskFailures {
  #counted: Milliseconds[] = [];

  /**
   * The disk failed a write or a flush.
   *
   * @param now by the monotonic clock
   * @returns true if it counts as failed
   */
  note(now: Milliseconds): boolean {
    this.#counted = this.#counted.filter((at) => now - at < WINDOW_MS);
    const last = this.#counted.at(-1);
    if (last === undefined || now - last >= APART_MS) this.#counted.push(now);
    return this.#counted.length >= MAX_FAILURES;
  }
}
