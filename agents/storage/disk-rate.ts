import type { Clock } from "../../shared/clock.js";
import { type Bytes, MIB, type Milliseconds } from "../../shared/units.js";
import { pause } from "../common/pause.js";

export interface DiskRateOptions {
  /** Bytes a second; 0 = no limit. */
  readonly bytesPerSecond: Bytes;
  readonly clock: Pick<Clock, "monotonic">;
  /** Waits so long, or until the signal. */
  readonly sleep?: (ms: Milliseconds, signal: AbortSignal) => Promise<void>;
}

/**
 * How fast one disk may be zeroed, or read: a token bucket that holds a single step. What was taken is paid for before
 * the next step, so a disk that was left alone for long gains no burst.
 */
export class DiskRate {
  readonly #options: DiskRateOptions;
  /** Monotonic time at which all that was taken is paid for. */
  #paidAt: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(options: DiskRateOptions) {
    this.#options = options;
  }

  /** The bytes that one step may have: at most a second's worth, so that the disk is loaded evenly. */
  step(most: Bytes): Bytes {
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === 0) return most;
    return Math.max(MIB, Math.min(most, bytesPerSecond - (bytesPerSecond % MIB)));
  }

  /** Waits for the turn of a step that costs so many bytes. @throws the signal's reason */
  async take(bytes: Bytes, signal: AbortSignal): Promise<void> {
    const { bytesPerSecond, clock, sleep = pause } = this.#options;
    signal.throwIfAborted();
    if (bytesPerSecond === 0) return;
    for (;;) {
      const left = this.#paidAt - clock.monotonic();
      if (left <= 0) break;
      await sleep(Math.ceil(left), signal);
      signal.throwIfAborted();
    }
    this.#paidAt = Math.max(this.#paidAt, clock.monotonic()) + (bytes / bytesPerSecond) * 1000;
  }
}
