import { setTimeout as pause } from "node:timers/promises";

const PERIOD_MS = 50;

/**
 * Waits for a condition, asking again and again.
 *
 * @param description what is waited for, for the message when it does not come true: "volume a is attached".
 * @param condition answers a value once it holds, and undefined or false before; throwing counts as not yet.
 */
export async function waitUntil<T>(
  description: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 120_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${description}`, { cause: lastError });
    }
    await pause(PERIOD_MS);
  }
}
