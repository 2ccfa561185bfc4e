import type { Clock } from "../../../shared/clock.js";
import type { Milliseconds } from "../../../shared/units.js";

type Kind = "head" | "storage";

/** When servers last registered: a question that was asked before, and not answered, says nothing of them any more. */
export class HeardServers {
  readonly #at = new Map<string, Milliseconds>();

  constructor(private readonly clock: Clock) {}

  note(kind: Kind, id: number): void {
    this.#at.set(`${kind} ${id}`, this.clock.monotonic());
  }

  /** @param time by the monotonic clock */
  isHeardSince(kind: Kind, id: number, time: Milliseconds): boolean {
    return (this.#at.get(`${kind} ${id}`) ?? Number.NEGATIVE_INFINITY) >= time;
  }
}
