import { describeError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";
import { pause } from "./pause.js";

export interface ReporterOptions {
  /** Registers everything once, or rejects; each of its calls has a deadline. */
  readonly register: (signal: AbortSignal) => Promise<void>;
  readonly log: Log;
  /** Between two attempts after a failure: the first pause, doubled each time up to the last. */
  readonly firstPauseMs?: Milliseconds;
  readonly lastPauseMs?: Milliseconds;
  /** Between two registrations after a success. */
  readonly periodMs?: Milliseconds;
}

/** Registers an agent with the manager, again and again, until it is stopped. */
export interface Reporter {
  /** Registers now instead of after the pause: what is to be reported has changed. */
  poke(): void;
  /** Ends after the attempt that is under way. */
  stop(): Promise<void>;
}

export function startReporter(options: ReporterOptions): Reporter {
  const { register, log, firstPauseMs = 200, lastPauseMs = 5000, periodMs = 30_000 } = options;
  const stopping = new AbortController();
  let waking = new AbortController();
  /** Why the last attempt failed; "" if it did not. undefined before the first one. */
  let reason: string | undefined;

  const attempt = async (): Promise<boolean> => {
    try {
      await register(stopping.signal);
      if (reason !== "") log.info("registered with the manager");
      reason = "";
      return true;
    } catch (error) {
      const why = describeError(error);
      if (why !== reason && !stopping.signal.aborted) log.warn(`not registered yet, trying again: ${why}`);
      reason = why;
      return false;
    }
  };
  const run = async (): Promise<void> => {
    let growing = firstPauseMs;
    while (!stopping.signal.aborted) {
      waking = new AbortController();
      const done = await attempt();
      await pause(done ? periodMs : growing, AbortSignal.any([stopping.signal, waking.signal]));
      growing = done ? firstPauseMs : Math.min(growing * 2, lastPauseMs);
    }
  };
  const ended = run();
  return {
    poke: () => waking.abort(),
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}
