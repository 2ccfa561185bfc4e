import type { Clock } from "../../../shared/clock.js";
import type { Milliseconds } from "../../../shared/units.js";
import type { StorageServerRow } from "../../store/servers.js";

export interface SilenceRules {
  /** How long a silent server may stay away before its members are replaced. */
  readonly replaceAfter: Milliseconds;
  /** With this many silent servers nothing is replaced; 0 = half of all, rounded up. */
  readonly maxSilent: number;
}

export interface Silence {
  readonly tooLong: ReadonlySet<number>;
  /** So many servers are silent that the fault is likely on the manager's side. */
  readonly brake: boolean;
  /** It was otherwise the last time. */
  readonly isNews: boolean;
  readonly silent: number;
}

/**
 * How long servers have been silent, by the monotonic clock (R15): after a restart of the manager, and after the brake was
 * on, the wait begins anew, which is the safe side.
 */
export class SilenceWatch {
  readonly #since = new Map<number, Milliseconds>();
  #brake = false;

  constructor(
    private readonly clock: Clock,
    private readonly rules: SilenceRules,
  ) {}

  assess(servers: readonly Pick<StorageServerRow, "ssvrid" | "silent" | "lost">[]): Silence {
    const now = this.clock.monotonic();
    const silent = servers
      .filter((server) => server.silent === 1 && server.lost === 0)
      .map((server) => server.ssvrid);
    for (const id of this.#since.keys()) if (!silent.includes(id)) this.#since.delete(id);
    for (const id of silent) if (!this.#since.has(id)) this.#since.set(id, now);
    const limit = this.rules.maxSilent > 0 ? this.rules.maxSilent : Math.ceil(servers.length / 2);
    const brake = silent.length > 0 && silent.length >= limit;
    // When the fault is over, the servers are heard of one after the other: the last ones are given their time as well.
    if (brake) for (const id of silent) this.#since.set(id, now);
    const tooLong = silent.filter((id) => now - (this.#since.get(id) ?? now) >= this.rules.replaceAfter);
    const isNews = brake !== this.#brake;
    this.#brake = brake;
    return { tooLong: new Set(brake ? [] : tooLong), brake, isNews, silent: silent.length };
  }
}
