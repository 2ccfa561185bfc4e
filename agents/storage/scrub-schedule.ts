import type { Milliseconds } from "../../shared/units.js";

/** Neighbouring ids fall far apart, and however many there are, evenly (the golden ratio's fraction). */
const SPREAD = 0.618_033_988_749_895;

/**
 * When the pass after one that began at `startedAt` begins, both in wall-clock time: passes outlive processes. Each disk has
 * a phase of its own within the interval, so that not all of a server are read at once.
 */
export function nextPass(pdskid: number, startedAt: Milliseconds, interval: Milliseconds): Milliseconds {
  const phase = ((pdskid * SPREAD) % 1) * interval;
  return (Math.floor((startedAt - phase) / interval) + 1) * interval + phase;
}
