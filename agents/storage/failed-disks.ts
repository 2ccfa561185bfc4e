import type { Clock } from "../../shared/clock.js";
import { showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import { DiskFailures } from "./disk-failures.js";
import { reportUntilTaken } from "./report-until-taken.js";

export interface FailedDisksOptions {
  /** Tells the manager that a disk has failed. */
  readonly report: (pdskid: number, signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Disks that fail writes or flushes again and again are reported to the manager, which does without them from then on. */
export class FailedDisks {
  readonly #options: FailedDisksOptions;
  readonly #failures = new Map<number, DiskFailures>();
  readonly #reports = new Map<number, Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: FailedDisksOptions) {
    this.#options = options;
  }

  /** A disk failed a write or a flush. */
  note(pdskid: number): void {
    const failures = this.#failures.get(pdskid) ?? new DiskFailures();
    this.#failures.set(pdskid, failures);
    if (!failures.note(this.#options.clock.monotonic()) || this.#reports.has(pdskid)) return;
    // Told once; what comes after that is counted anew.
    this.#failures.delete(pdskid);
    const { report, log } = this.#options;
    log.error(`${showDisk(pdskid)} failed writes or flushes again and again: it is reported as failed`);
    const told = reportUntilTaken(`the failure of ${showDisk(pdskid)}`, (signal) => report(pdskid, signal), {
      signal: this.#stopping.signal,
      log,
    })
      .catch(() => undefined) // aborted
      .finally(() => this.#reports.delete(pdskid));
    this.#reports.set(pdskid, told);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the storage agent stops"));
    await Promise.all(this.#reports.values());
  }
}
