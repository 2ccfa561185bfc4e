import type { Clock } from "../../../shared/clock.js";
import { VasError } from "../../../shared/errors.js";
import { showMirror } from "../../../shared/ids.js";
import type { Log } from "../../../shared/log.js";
import { MAX_CHECKSUMS } from "../../../shared/methods/agent-methods.js";
import { type Milliseconds, REGIONS_PER_GB } from "../../../shared/units.js";
import type { AgentsPort } from "../../agents-port/agents-port.js";
import {
  type ComparedGigabyte,
  type ComparisonPlan,
  isStillAsPlanned,
  nextComparison,
  nextDetachedToCompare,
  recordComparison,
} from "../../operations/compare-mirror.js";
import type { Executor } from "../../operations/operation.js";

export interface CopyComparerOptions {
  readonly executor: Executor;
  readonly agents: AgentsPort;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Mirrors at once: this is to be in nobody's way. */
const AT_ONCE = 2;
/** A mirror that could not be compared, though nothing about it changed, is let alone for so long. */
const REST_MS: Milliseconds = 600_000;
/** How long one round goes on; it is followed by another soon. */
const ROUND_MS: Milliseconds = 60_000;
/** Failures after which a round is ended. */
const MAX_FAILURES = 3;
/** How long a detached volume may have a head for this, and then gives way to others. */
const TURN_MS: Milliseconds = 6 * 3_600_000;
const TURN_REST_MS: Milliseconds = 24 * 3_600_000;
/** What a disk may need for the regions of one call, at 1 MiB a second and beside a scrub. */
const CHECKSUM_MS: Milliseconds = 180_000;
/** What a head may need to compare the regions of one call. */
const CONFIRM_MS: Milliseconds = 60_000;

/**
 * Compares the copies of mirrors, a gigabyte at a time: by checksums first, which the storage servers make. A region with
 * different ones is being written, or its copies differ: that is for the head to say, which lets nobody write meanwhile.
 */
export class CopyComparer {
  readonly #options: CopyComparerOptions;
  readonly #busy = new Set<number>();
  /** Monotonic time until which a mirror rests. */
  readonly #resting = new Map<number, Milliseconds>();
  /** Failed comparisons of this round: whatever it is, it may hold for all. */
  #failures = 0;
  #detached: number | undefined;
  /** Detached volumes that have had a head for this, by id. Times are monotonic. */
  readonly #turns = new Map<number, { readonly begunAt: Milliseconds; readonly until: Milliseconds }>();

  constructor(options: CopyComparerOptions) {
    this.#options = options;
  }

  /** The volume that needs a head to be compared, one at a time. */
  get wanting(): readonly number[] {
    return this.#detached === undefined ? [] : [this.#detached];
  }

  /** Compares what is due, for a while. */
  async run(): Promise<void> {
    await this.#chooseDetached();
    this.#failures = 0;
    const until = this.#options.clock.monotonic() + ROUND_MS;
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#work(until)));
  }

  /** A volume keeps its head for as long as it is compared, but none for ever. */
  async #chooseDetached(): Promise<void> {
    const { executor, clock } = this.#options;
    const now = clock.monotonic();
    for (const [lvolid, { until }] of this.#turns) if (until <= now) this.#turns.delete(lvolid);
    const except = new Set<number>();
    for (const [lvolid, { begunAt }] of this.#turns) if (now - begunAt >= TURN_MS) except.add(lvolid);
    this.#detached = await executor.runQuietly(nextDetachedToCompare, { except });
    if (this.#detached === undefined || this.#turns.has(this.#detached)) return;
    this.#turns.set(this.#detached, { begunAt: now, until: now + TURN_MS + TURN_REST_MS });
  }

  async #work(until: Milliseconds): Promise<void> {
    const { executor, clock, signal, log } = this.#options;
    while (!signal.aborted && clock.monotonic() < until && this.#failures < MAX_FAILURES) {
      for (const [mirrorid, until] of this.#resting)
        if (until <= clock.monotonic()) this.#resting.delete(mirrorid);
      const except = [...this.#busy, ...this.#resting.keys()];
      const plan = await executor.runQuietly(nextComparison, { except });
      if (plan === undefined) return;
      // The other one has taken it in between.
      if (this.#busy.has(plan.mirrorid)) continue;
      this.#busy.add(plan.mirrorid);
      try {
        await executor.runQuietly(recordComparison, await this.#compare(plan));
      } catch (error) {
        if (!(error instanceof VasError)) throw error;
        this.#failures += 1;
        // One that was detached or lost a copy meanwhile has not been tried as it is now.
        if (await executor.runQuietly(isStillAsPlanned, { plan }))
          this.#resting.set(plan.mirrorid, clock.monotonic() + REST_MS);
        log.info({ err: error }, `the copies of ${showMirror(plan.mirrorid)} can't be compared now`);
      } finally {
        this.#busy.delete(plan.mirrorid);
      }
    }
  }

  async #compare(plan: ComparisonPlan): Promise<ComparedGigabyte> {
    const { mirrorid, gigabyte } = plan;
    const differences: ComparedGigabyte["differences"][number][] = [];
    for (let at = 0; at < REGIONS_PER_GB; at += MAX_CHECKSUMS) {
      this.#options.signal.throwIfAborted();
      const regions = await this.#suspects(plan, gigabyte * REGIONS_PER_GB + at);
      if (regions.length > 0) differences.push(...(await this.#confirm(plan, regions)));
    }
    return { mirrorid, gigabyte, differences };
  }

  /** The regions of one call whose checksums are not all the same. */
  async #suspects({ copies }: ComparisonPlan, from: number): Promise<number[]> {
    const count = MAX_CHECKSUMS;
    const [first = [], ...others] = await Promise.all(
      copies.map(({ agent, ...extent }) =>
        this.#options.agents.callStorage(agent, "checksumRegions", { ...extent, from, count }, CHECKSUM_MS),
      ),
    );
    return first.flatMap((sum, at) => (others.every((sums) => sums[at] === sum) ? [] : [from + at]));
  }

  #confirm({ head, lvolid, epoch, mirrorid }: ComparisonPlan, regions: readonly number[]) {
    const params = { lvolid, epoch, mirrorid, regions };
    return this.#options.agents.callHead(head, "compareRegions", params, CONFIRM_MS);
  }
}
