import type { Milliseconds } from "./units.js";

/** The two clocks of a process. Durations come from the monotonic one only: the other may be set back. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970, for what people read. */
  now(): Milliseconds;
  /** Milliseconds since an arbitrary instant, never set back, for durations and deadlines. */
  monotonic(): Milliseconds;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
