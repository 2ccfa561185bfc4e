import { type ScheduledTask, schedule } from "node-cron";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";

/** A duty that derives what is missing from the state alone. @returns true if it changed anything. */
export interface Duty {
  readonly name: string;
  readonly run: () => Promise<boolean>;
}

/**
 * Runs the duties one after the other: at each event, and at a period in case an event was missed. A round that
 * changed something is followed by another one.
 */
export class Reconciler {
  #round: Promise<void> | undefined;
  #wanted = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly duties: readonly Duty[],
    private readonly period: Milliseconds,
    private readonly log: Log,
    /** Told after a round that changed something: there may be new jobs. */
    private readonly onChange: () => void,
  ) {}

  start(): void {
    this.poke();
  }

  /** Something may be missing now. */
  poke(): void {
    if (this.#stopped) return;
    if (this.#round !== undefined) {
      this.#wanted = true;
      return;
    }
    this.#wanted = false;
    this.#round = this.#runOnce().finally(() => {
      this.#round = undefined;
      if (this.#wanted) this.poke();
      else this.#sleep();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  #sleep(): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => this.poke(), this.period);
  }

  async #runOnce(): Promise<void> {
    for (const duty of this.duties) {
      if (this.#stopped) return;
      try {
        if (!(await duty.run())) continue;
        this.#wanted = true;
        this.onChange();
      } catch (error) {
        this.log.error({ err: error, duty: duty.name }, "a duty failed; it is tried again at the next round");
      }
    }
  }
}

/** A cron expression for a period of whole seconds below a minute, or else of whole minutes. */
export function everySeconds(seconds: number): string {
  if (seconds < 60) return `*/${Math.max(1, Math.round(seconds))} * * * * *`;
  return `0 */${Math.min(59, Math.round(seconds / 60))} * * * *`;
}

/** Runs a duty by the clock; a run that is late is not doubled. End it with `destroy`. */
export function runPeriodically(
  name: string,
  seconds: number,
  run: () => Promise<void>,
  log: Log,
): ScheduledTask {
  return schedule(
    everySeconds(seconds),
    async () => {
      await run().catch((error: unknown) => log.error({ err: error, duty: name }, "a periodic duty failed"));
    },
    { name, noOverlap: true },
  );
}

/** Something that is done again and again. */
export interface Repetition {
  /** No run begins after this. */
  destroy(): void;
}

/** What a timer can wait for: 24 days. */
const LONGEST_PERIOD: Milliseconds = 2 ** 31 - 1;

/**
 * Runs a duty at a period, counted from the start and by the monotonic clock: a period that cron can't say, such as 45 s or
 * 3,600 s from now, is what it is. A run that is late is not doubled.
 */
export function runEvery(name: string, period: Milliseconds, run: () => Promise<void>, log: Log): Repetition {
  let isRunning = false;
  const timer = setInterval(
    () => {
      if (isRunning) return;
      isRunning = true;
      void run()
        .catch((error: unknown) => log.error({ err: error, duty: name }, "a periodic duty failed"))
        .finally(() => {
          isRunning = false;
        });
    },
    Math.min(period, LONGEST_PERIOD),
  );
  return { destroy: () => clearInterval(timer) };
}
