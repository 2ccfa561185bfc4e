import type { Clock } from "../../../shared/clock.js";
import type { Milliseconds } from "../../../shared/units.js";
import { beginMaintenance } from "../../operations/begin-maintenance.js";
import { endIdleMaintenance, listMaintained } from "../../operations/end-maintenance.js";
import type { Executor } from "../../operations/operation.js";

const FIRST_PAUSE: Milliseconds = 1_000;

export interface MaintenanceRules {
  /** How long a volume has been detached, and in need of a head, before it is given one. */
  readonly delay: Milliseconds;
  /** Longest pause between two attempts for the same volume. */
  readonly maxPause: Milliseconds;
  /** Volumes that need a head for something else than their healing. */
  readonly alsoWanting: () => Iterable<number>;
}

interface Waiting {
  /** Monotonic time. */
  readonly notBefore: Milliseconds;
  readonly pause: Milliseconds;
  /** The head server that was tried last. */
  readonly head?: number;
}

/**
 * Gives detached volumes a head while they need one (R15). A volume that was just detached is left alone for a while: it
 * may be on its way to another head.
 */
export class Maintenance {
  readonly #waiting = new Map<number, Waiting>();

  constructor(
    private readonly clock: Clock,
    private readonly rules: MaintenanceRules,
  ) {}

  /**
   * @param healing volumes that are detached, or attached for maintenance, and have copies that a head can bring in sync
   * @param silentTooLong storage servers that are not waited for any more
   * @returns true if anything changed
   */
  async run(
    executor: Executor,
    healing: ReadonlySet<number>,
    silentTooLong: ReadonlySet<number>,
  ): Promise<boolean> {
    const wanting = new Set([...healing, ...this.rules.alsoWanting()]);
    let changed = false;
    for (const lvolid of await executor.runQuietly(listMaintained, {})) {
      const wanted = wanting.has(lvolid);
      if (await executor.runQuietly(endIdleMaintenance, { lvolid, wanted })) changed = true;
    }
    const now = this.clock.monotonic();
    for (const lvolid of this.#waiting.keys()) if (!wanting.has(lvolid)) this.#waiting.delete(lvolid);
    for (const lvolid of wanting) {
      const waiting: Waiting = this.#waiting.get(lvolid) ?? {
        notBefore: now + this.rules.delay,
        pause: FIRST_PAUSE,
      };
      this.#waiting.set(lvolid, waiting);
      if (now < waiting.notBefore) continue;
      const request = { lvolid, silentTooLong, avoid: waiting.head };
      const head = await executor.runQuietly(beginMaintenance, request);
      if (head === undefined) continue;
      const pause = Math.min(this.rules.maxPause, waiting.pause * 2);
      this.#waiting.set(lvolid, { notBefore: now + waiting.pause, pause, head });
      changed = true;
    }
    return changed;
  }
}
