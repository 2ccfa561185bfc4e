import { describeError } from "../../../shared/errors.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { pause } from "../../common/pause.js";

/** Looks within one `member_timeout`. */
const TICKS = 10;

/**
 * Does the same work again and again, one after the other, with a pause between; ten times in the time after which a silent
 * member has failed. Time is counted in turns: while this process itself is stopped, none passes.
 */
export class Watch {
  /** Turns after which what was silent in each of them has failed. */
  static readonly turns = TICKS;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  constructor(memberTimeoutMs: Milliseconds, turn: (count: number) => Promise<void>, log: Log) {
    this.#running = this.#run(memberTimeoutMs / TICKS, turn, log);
  }

  /** Resolves when no work is under way any more. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(pauseMs: Milliseconds, turn: (count: number) => Promise<void>, log: Log): Promise<void> {
    const { signal } = this.#ending;
    for (let count = 1; !signal.aborted; count += 1) {
      await pause(pauseMs, signal);
      if (signal.aborted) return;
      try {
        await turn(count);
      } catch (error) {
        log.warn({ err: error }, `the volume could not be looked at: ${describeError(error)}`);
      }
    }
  }
}
