import { describeError, VasError } from "../../shared/errors.js";
import { NbdClient } from "../harness/nbd-client.js";
import { NbdError } from "../harness/nbd-handshake.js";
import { waitUntil } from "../harness/wait-until.js";
import type { History, Moment } from "./history.js";
import type { Lane } from "./lane.js";
import { WINDOWS } from "./schedule.js";
import type { Statistics } from "./statistics.js";

const MOST = 3;

interface Taken {
  readonly slot: number;
  /** From before it was asked for to after it was there. */
  readonly moment: Moment;
  /** What was first read of each window: it may never change. */
  readonly fixed: Map<number, Buffer>;
  client: Promise<NbdClient> | undefined;
  isInvalid: boolean;
}

export interface SnapshotsOptions {
  readonly lane: Lane;
  readonly history: History;
  readonly statistics: Statistics;
  readonly note: (text: string) => void;
  readonly defect: (text: string) => void;
  /** Whether something is wrong that may make a snapshot impossible. */
  readonly mayFail: () => boolean;
}

/** The snapshots of a run, and what they must hold (D8). */
export class Snapshots {
  /** Something went wrong in this run: a snapshot may have been given up. */
  hadFaults = false;
  readonly #options: SnapshotsOptions;
  readonly #taken: Taken[] = [];
  #reads = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  async take(): Promise<void> {
    const { lane, history, note, defect, statistics, mayFail } = this.#options;
    const { rig } = lane;
    if (this.#taken.length >= MOST || lane.nextSnapshot >= rig.options.snapshots.length) return;
    const slot = lane.nextSnapshot;
    lane.nextSnapshot += 1;
    const from = history.now();
    try {
      await rig.createSnapshot(slot);
    } catch (error) {
      note(`snapshot ${slot} was not taken: ${describeError(error)}`);
      statistics.count(
        "answers",
        `snapshot not taken (${error instanceof VasError ? error.errno : "no answer"})`,
      );
      // Its time is limited: on a machine that is starved of it there may be none.
      const isLate = error instanceof VasError && error.errno === "ETIMEDOUT";
      if (!this.hadFaults && !mayFail() && !isLate)
        defect(`snapshot ${slot} was not taken: ${describeError(error)}`);
      return;
    }
    const moment = { from, to: history.now() };
    note(`snapshot ${slot} was taken between ${moment.from} and ${moment.to}`);
    statistics.count("answers", "snapshot taken");
    this.#taken.push({ slot, moment, fixed: new Map(), client: undefined, isInvalid: false });
  }

  async drop(pick: number): Promise<void> {
    const taken = this.#taken[pick % Math.max(1, this.#taken.length)];
    if (taken !== undefined) await this.#drop(taken);
  }

  async dropAll(): Promise<void> {
    for (const taken of [...this.#taken]) await this.#drop(taken);
  }

  async #drop(taken: Taken): Promise<void> {
    const { lane, note, statistics, mayFail } = this.#options;
    this.#taken.splice(this.#taken.indexOf(taken), 1);
    await this.#close(taken);
    // From now on it is on its way out: a volume process that starts must not be told of it.
    lane.rig.manager.snapshots.delete(lane.rig.snapshotId(taken.slot));
    note(`snapshot ${taken.slot} is dropped`);
    try {
      // The server may not have noticed yet that its client is gone.
      await waitUntil("the snapshot is dropped", async () => {
        if (lane.rig.volume?.isOver === true) return true;
        await lane.rig.deleteSnapshot(taken.slot);
        return true;
      });
      statistics.count("answers", "snapshot dropped");
    } catch (error) {
      note(describeError(error));
      if (!mayFail()) throw error;
    }
  }

  /** A short read of one of them. */
  async read(offset: number, length: number): Promise<void> {
    this.#reads += 1;
    const taken = this.#taken[this.#reads % Math.max(1, this.#taken.length)];
    if (taken !== undefined) await this.#read(taken, offset, length, false);
  }

  /** Reads all that is looked at, of all of them. */
  async verifyAll(): Promise<void> {
    for (const taken of [...this.#taken]) {
      for (const { start, length } of WINDOWS) await this.#read(taken, start, length, true);
    }
  }

  async #read(taken: Taken, offset: number, length: number, isWindow: boolean): Promise<void> {
    const { history, defect, statistics } = this.#options;
    if (taken.isInvalid) return;
    let data: Buffer;
    try {
      taken.client ??= NbdClient.connect({ path: this.#options.lane.rig.snapshotLink(taken.slot) });
      data = await (await taken.client).read(offset, length);
    } catch (error) {
      await this.#failed(taken, error);
      return;
    }
    statistics.count("answers", isWindow ? "snapshot window read" : "snapshot read");
    const name = `snapshot ${taken.slot}, taken between ${taken.moment.from} and ${taken.moment.to}`;
    const wrong = history.check(offset, data, taken.moment);
    if (wrong !== undefined) defect(`${name}: ${wrong}`);
    for (const { start, length: size } of WINDOWS) {
      const fixed = taken.fixed.get(start);
      if (isWindow && start === offset && fixed === undefined) taken.fixed.set(start, data);
      if (fixed === undefined || offset < start || offset + length > start + size) continue;
      if (!fixed.subarray(offset - start, offset - start + length).equals(data))
        defect(`${name}: bytes ${offset} to ${offset + length - 1} have changed since they were read first`);
    }
  }

  /** It may have been given up, and be recorded so, or be dropped just now, or its process be killed. */
  async #failed(taken: Taken, error: unknown): Promise<void> {
    const { lane, defect, note, statistics, mayFail } = this.#options;
    const { manager } = lane.rig;
    const lvolid = lane.rig.snapshotId(taken.slot);
    if (!(error instanceof NbdError)) {
      if (!mayFail() && this.#taken.includes(taken))
        defect(`snapshot ${taken.slot}: ${describeError(error)}`);
      return;
    }
    if (!this.#taken.includes(taken)) return;
    // Recorded before long; where the volume itself can't be read the snapshot stays.
    const isRecorded = await waitUntil(
      "it is recorded",
      () => manager.snapshots.get(lvolid) !== true,
      mayFail() ? 2000 : 60_000,
    ).catch(() => false);
    if (!isRecorded) {
      if (!mayFail()) defect(`snapshot ${taken.slot} answers ${error.message}, and is listed as valid`);
      return;
    }
    if (taken.isInvalid) return;
    taken.isInvalid = true;
    const reason = manager.snapshotReports.find((report) => report.lvolid === lvolid)?.reason;
    note(`snapshot ${taken.slot} is invalid: ${reason}`);
    statistics.count("answers", "snapshot given up");
    if (!this.hadFaults) defect(`snapshot ${taken.slot} was given up without a fault: ${reason}`);
  }

  /** Before its process ends or the volume is detached. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#taken.map((taken) => this.#close(taken)));
  }

  async #close(taken: Taken): Promise<void> {
    const { client } = taken;
    taken.client = undefined;
    await client?.then((open) => open.close()).catch(() => undefined);
  }
}
