import { describeError, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";
import { pause } from "../common/pause.js";

const FIRST_PAUSE_MS: Milliseconds = 500;
const LAST_PAUSE_MS: Milliseconds = 60_000;

/**
 * Tells the manager of something until it has taken it, or refuses it for good: it knows no such thing.
 *
 * @param what for the log: "the bad blocks of pdsk-00000001"
 * @throws the signal's reason once that is aborted
 */
export async function reportUntilTaken(
  what: string,
  report: (signal: AbortSignal) => Promise<unknown>,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
): Promise<void> {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(2 * ms, LAST_PAUSE_MS)) {
    signal.throwIfAborted();
    try {
      await report(signal);
      return;
    } catch (error) {
      log.warn(`the manager did not take ${what}: ${describeError(error)}`);
      if (error instanceof VasError && (error.errno === "EINVAL" || error.errno === "ENOENT")) return;
      await pause(ms, signal);
    }
  }
}
