import type { Milliseconds } from "../../../shared/units.js";

/** Checks within one limit. */
const TICKS = 10;

/** Something that is waited for. */
export interface Awaited {
  /** When it began or last got on, in ticks. Owned by the clock. */
  tick: number;
  /** What its progress was then. Owned by the clock. */
  seen: number;
  /** Grows as it gets on; left out for what either ends or does not. */
  readonly progress: (() => number) | undefined;
}

export interface StallClockOptions {
  /** How long something may be waited for without its getting on. */
  readonly limitMs: Milliseconds;
  /** What is waited for does not depend on the disks right now. */
  readonly isPaused: () => boolean;
  /** Called for each check that finds something stalled. */
  readonly onStalled: () => void;
}

/**
 * Finds what does not get on. Like a disk connection it counts ticks of a timer: when this process itself was stopped for
 * a while, no tick has passed.
 */
export class StallClock {
  readonly #options: StallClockOptions;
  readonly #awaited = new Set<Awaited>();
  readonly #timer: NodeJS.Timeout;
  #tick = 0;

  constructor(options: StallClockOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#onTick(), options.limitMs / TICKS);
  }

  begin(progress?: () => number): Awaited {
    const awaited = { tick: this.#tick, seen: progress?.() ?? 0, progress };
    this.#awaited.add(awaited);
    return awaited;
  }

  end(awaited: Awaited): void {
    this.#awaited.delete(awaited);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#awaited.clear();
  }

  #onTick(): void {
    this.#tick += 1;
    const isPaused = this.#options.isPaused();
    for (const awaited of this.#awaited) {
      const seen = awaited.progress?.() ?? 0;
      if (isPaused || seen !== awaited.seen) awaited.tick = this.#tick;
      awaited.seen = seen;
    }
    const isStalled = [...this.#awaited].some(({ tick }) => this.#tick - tick > TICKS);
    if (isStalled) this.#options.onStalled();
  }
}
