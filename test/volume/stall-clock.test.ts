import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { StallClock } from "../../agents/head/nbd/stall-clock.js";

const LIMIT_MS = 1000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function clockUnderTest() {
  const seen = { stalls: 0, isPaused: false };
  const clock = new StallClock({
    limitMs: LIMIT_MS,
    isPaused: () => seen.isPaused,
    onStalled: () => {
      seen.stalls += 1;
      clock.stop();
    },
  });
  return { clock, seen };
}

test("what does not end within the limit has stalled, what ends has not", () => {
  const { clock, seen } = clockUnderTest();
  clock.end(clock.begin());
  vi.advanceTimersByTime(5 * LIMIT_MS);
  expect(seen.stalls).toBe(0);
  clock.begin();
  vi.advanceTimersByTime(LIMIT_MS);
  expect(seen.stalls).toBe(0);
  vi.advanceTimersByTime(LIMIT_MS / 5);
  expect(seen.stalls).toBe(1);
});

test("what gets on has not stalled, however long it takes", () => {
  const { clock, seen } = clockUnderTest();
  let progress = 0;
  clock.begin(() => progress);
  for (let turn = 0; turn < 20; turn += 1) {
    vi.advanceTimersByTime(LIMIT_MS * 0.9);
    progress += 1;
  }
  expect(seen.stalls).toBe(0);
  vi.advanceTimersByTime(LIMIT_MS * 1.3);
  expect(seen.stalls).toBe(1);
});

test("time is not counted while it is paused", () => {
  const { clock, seen } = clockUnderTest();
  clock.begin();
  vi.advanceTimersByTime(LIMIT_MS * 0.9);
  seen.isPaused = true;
  vi.advanceTimersByTime(LIMIT_MS * 10);
  seen.isPaused = false;
  vi.advanceTimersByTime(LIMIT_MS * 0.9);
  expect(seen.stalls).toBe(0);
  vi.advanceTimersByTime(LIMIT_MS * 0.3);
  expect(seen.stalls).toBe(1);
});
