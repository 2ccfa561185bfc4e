import type { Clock } from "../../shared/clock.js";
import { describeError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import { type Bytes, EXTENT_UNIT_BYTES, type Milliseconds } from "../../shared/units.js";
import { pause } from "../common/pause.js";
import type { DiskRate } from "./disk-rate.js";
import type { DiskReader } from "./disk-reader.js";
import { reportUntilTaken } from "./report-until-taken.js";
import { scrubPass } from "./scrub-pass.js";
import type { ScrubRecord, ScrubRecords } from "./scrub-records.js";
import { nextPass } from "./scrub-schedule.js";

/** A disk to be read, and how fast. */
export interface ScrubbedDisk {
  readonly reader: Pick<DiskReader, "disk" | "read">;
  readonly rate: DiskRate;
}

export interface ScrubberOptions {
  /** The disks that are served now. */
  readonly disks: () => readonly ScrubbedDisk[];
  readonly records: ScrubRecords;
  /** Tells the manager of bad blocks. */
  readonly report: (pdskid: number, blocks: readonly number[], signal: AbortSignal) => Promise<unknown>;
  /** Between the starts of two passes over a disk; 0 = none is made. */
  readonly intervalMs: Milliseconds;
  readonly clock: Clock;
  readonly log: Log;
}

/** How often it is looked which disk is due. */
const LOOK_MS: Milliseconds = 1000;
/** A restart reads no more than this once more. */
const KEEP_MS: Milliseconds = 10_000;
/** Before a pass that failed goes on, at most. */
const RETRY_MS: Milliseconds = 3_600_000;

/** Reads all disks of a server from start to end, again and again, so that errors are found before the block is needed. */
export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #stopping = new AbortController();
  readonly #running = new Map<number, Promise<void>>();
  /** Monotonic time before which a disk is let alone, after its pass failed. */
  readonly #restingUntil = new Map<number, Milliseconds>();
  readonly #ended: Promise<void>;

  constructor(options: ScrubberOptions) {
    this.#options = options;
    this.#ended = options.intervalMs === 0 ? Promise.resolve() : this.#run();
  }

  /** Ends all passes where they are; they go on there after the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the storage agent stops"));
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      for (const disk of this.#options.disks()) this.#look(disk);
      await pause(LOOK_MS, signal);
    }
    await Promise.all(this.#running.values());
  }

  #look(disk: ScrubbedDisk): void {
    const { pdskid } = disk.reader.disk;
    const { clock, intervalMs, log } = this.#options;
    const resting = this.#restingUntil.get(pdskid) ?? Number.NEGATIVE_INFINITY;
    if (this.#running.has(pdskid) || clock.monotonic() < resting) return;
    const ended = this.#attend(disk).catch((error: unknown) => {
      if (this.#stopping.signal.aborted || !this.#isServed(disk)) return;
      this.#restingUntil.set(pdskid, clock.monotonic() + Math.min(intervalMs, RETRY_MS));
      log.error({ err: error }, `the scrub of ${showDisk(pdskid)} stopped: ${describeError(error)}`);
    });
    this.#running.set(
      pdskid,
      ended.finally(() => this.#running.delete(pdskid)),
    );
  }

  /** Makes the pass that is due, or goes on with the one that was interrupted. */
  async #attend(disk: ScrubbedDisk): Promise<void> {
    const { clock, intervalMs, records } = this.#options;
    const { pdskid } = disk.reader.disk;
    const now = clock.now();
    let record = await records.read(pdskid);
    if (record === undefined) {
      record = { startedAt: now, position: null, unreported: [], found: 0 };
      await records.write(pdskid, record);
    }
    record = await this.#report(pdskid, record);
    if (record.position !== null) return this.#pass(disk, record);
    // A clock that was set back must not put off the next pass.
    const due = nextPass(pdskid, Math.min(record.startedAt, now), intervalMs);
    if (now < due) return;
    await this.#pass(disk, { ...record, startedAt: now, position: 0, found: 0 });
  }

  async #pass(disk: ScrubbedDisk, begun: ScrubRecord): Promise<void> {
    const { clock, log, records } = this.#options;
    const { pdskid } = disk.reader.disk;
    const { signal } = this.#stopping;
    const shown = showDisk(pdskid);
    let record = begun;
    let keptAt = clock.monotonic();
    log.debug(`the scrub of ${shown} begins at byte ${record.position}`);
    const keep = async (next: ScrubRecord): Promise<void> => {
      record = next;
      await records.write(pdskid, record);
      keptAt = clock.monotonic();
    };
    const onBadBlock = async (block: number, place: Bytes): Promise<void> => {
      log.error(`${shown} can't be read at byte ${place}, in its block ${block}`);
      const position = (block + 1) * EXTENT_UNIT_BYTES;
      await keep({ ...record, position, unreported: [block], found: record.found + 1 });
      record = await this.#report(pdskid, record);
    };
    const onPosition = async (position: Bytes): Promise<void> => {
      if (!this.#isServed(disk)) throw new Error("it is not served any more");
      record = { ...record, position };
      if (clock.monotonic() - keptAt >= KEEP_MS) await keep(record);
    };
    try {
      await scrubPass({ ...disk, from: record.position ?? 0, signal, onPosition, onBadBlock });
      await keep({ ...record, position: null });
      const found = record.found === 0 ? "no block" : `${record.found} blocks`;
      log.info(`${shown} was scrubbed: ${found} with unreadable places`);
    } catch (error) {
      await keep(record);
      throw error;
    }
  }

  /** Tells the manager what it does not know yet, until it has taken it. */
  async #report(pdskid: number, record: ScrubRecord): Promise<ScrubRecord> {
    const { log, report, records } = this.#options;
    if (record.unreported.length === 0) return record;
    await reportUntilTaken(
      `the bad blocks of ${showDisk(pdskid)}`,
      (signal) => report(pdskid, record.unreported, signal),
      { signal: this.#stopping.signal, log },
    );
    const told = { ...record, unreported: [] };
    await records.write(pdskid, told);
    return told;
  }

  #isServed({ reader }: ScrubbedDisk): boolean {
    return this.#options.disks().some((other) => other.reader === reader);
  }
}
