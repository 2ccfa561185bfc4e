import { setTimeout } from "node:timers/promises";

const POLL_MS = 5;

/** Waits for a condition; fails at the deadline. */
export async function until(condition: () => boolean | Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const deadline = AbortSignal.timeout(deadlineMs);
  while (!(await condition())) {
    if (deadline.aborted) throw new Error(`the condition does not hold after ${deadlineMs} ms`);
    await setTimeout(POLL_MS);
  }
}
