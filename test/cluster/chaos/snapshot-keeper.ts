import { setTimeout as pause } from "node:timers/promises";
import { errorNameOf } from "../../../shared/errors.js";
import { XmlRpcFault } from "../../../shared/xmlrpc/fault.js";
import type { NbdClient } from "../../harness/nbd-client.js";
import { waitUntil } from "../../harness/wait-until.js";
import { connectWithin } from "./attachment.js";
import { CELL_BYTES, decodeCell } from "./cells.js";
import type { Read } from "./history.js";
import type { Random } from "./random.js";
import { AREA_CELLS, type VolumeUser } from "./user.js";

const MOST = 2;
const PAUSE_MS = [2000, 12_000] as const;
/** All of one snapshot; its volume may stand still meanwhile. */
const READ_MS = 20_000;
const KNOWN_MS = 300_000;

/** What one area of a snapshot holds: not looked at yet, or known cell by cell. */
type Area = { readonly read: Read } | { readonly first: number; readonly found: Int32Array };

interface Snapshot {
  readonly name: string;
  /** What began later is not in it. */
  readonly until: number;
  readonly areas: Area[];
}

/** Takes, reads and deletes the snapshots of one volume. */
export class SnapshotKeeper {
  readonly counts = { taken: 0, checked: 0, lost: 0, deleted: 0 };
  #snapshots: Snapshot[] = [];
  #number = 0;

  constructor(
    private readonly user: VolumeUser,
    private readonly random: Random,
  ) {}

  async run(): Promise<void> {
    while (!this.user.isStopping) {
      await this.user.pause(this.random.between(...PAUSE_MS));
      if (this.user.isStopping) return;
      const kind = this.random.next();
      if (this.#snapshots.length < MOST && kind < 0.6) await this.#take();
      else if (kind < 0.8) await this.#check(this.#snapshots[0]);
      else if (this.#snapshots.length > 0) await this.#delete();
    }
  }

  /** With all faults over: each one that is there can be read, and holds what it held. */
  async verify(): Promise<void> {
    for (const snapshot of [...this.#snapshots])
      await waitUntil(
        `snapshot ${snapshot.name} is read, or lost`,
        async () => (await this.#check(snapshot)) || !this.#snapshots.includes(snapshot),
      );
    await this.#removeLost();
  }

  async #take(): Promise<void> {
    const { history, areas, options } = this.user;
    this.#number += 1;
    const name = `${options.name}-s${this.#number}`;
    const reads = areas.map((first) => history.beginRead(first, AREA_CELLS));
    await options.cluster
      .api("createSnapshot", { origin_lvolid: options.lvolid, snapshot_lvolname: name })
      .catch((error: unknown) => options.note(`snapshot ${name}: ${String(error)}`));
    // A call that failed may still have it taken.
    const status = await this.#outcome(name);
    const until = history.now();
    if (status !== "VALID") {
      for (const read of reads) history.abandonRead(read);
      if (status !== undefined) await this.#remove(name);
      return;
    }
    options.note(`snapshot ${name} is taken`);
    this.counts.taken += 1;
    const snapshot = { name, until, areas: reads.map((read) => ({ read })) };
    this.#snapshots.push(snapshot);
    await this.#check(snapshot);
  }

  /** What has become of a snapshot, once that is certain. @returns undefined if it is not there */
  async #outcome(name: string): Promise<string | undefined> {
    const { status } = await waitUntil(
      `snapshot ${name} is taken or not`,
      async () => {
        const now = await this.#status(name);
        if (now !== "CREATING" && now !== "DELETING") return { status: now };
        await pause(200);
        return undefined;
      },
      KNOWN_MS,
    );
    return status;
  }

  async #status(name: string): Promise<string | undefined> {
    const [found] = await this.user.options.cluster
      .api("listLogicalVolumes", { lvolname: name })
      .catch((error: unknown) => {
        if (error instanceof XmlRpcFault && errorNameOf(error.code) === "ENOENT") return [];
        throw error;
      });
    return found?.snapshot_status;
  }

  /** @returns whether all of it was read */
  async #check(snapshot: Snapshot | undefined): Promise<boolean> {
    if (snapshot === undefined) return false;
    const status = await this.#status(snapshot.name).catch(() => "unknown");
    if (status === "INVALID" || status === undefined) {
      if (status === undefined) this.user.violation(`snapshot ${snapshot.name} is not there any more`);
      this.user.options.note(`snapshot ${snapshot.name} is lost`);
      this.counts.lost += 1;
      this.#forget(snapshot);
      await this.#remove(snapshot.name);
      return false;
    }
    if (status !== "VALID" || !(await this.#readAll(snapshot))) return false;
    this.counts.checked += 1;
    return true;
  }

  async #readAll(snapshot: Snapshot): Promise<boolean> {
    let client: NbdClient | undefined;
    const limit = new AbortController();
    const late = pause(READ_MS, undefined, { signal: limit.signal }).catch(() => undefined);
    const work = async (): Promise<boolean> => {
      const head = await this.user.attachment.head();
      client = head && (await connectWithin(head.socket(snapshot.name)));
      if (client === undefined) return false;
      for (const [index, area] of snapshot.areas.entries()) {
        const first = "read" in area ? area.read.first : area.first;
        const data = await client.read(first * CELL_BYTES, AREA_CELLS * CELL_BYTES);
        snapshot.areas[index] = this.#compare(snapshot, area, data);
      }
      return true;
    };
    const reading = work().catch(() => false);
    const done = await Promise.race([reading, late]);
    limit.abort();
    // A snapshot that somebody has open can't be deleted: also the connection that was made too late is closed.
    const close = async (): Promise<void> => {
      const closing = client?.close();
      await reading;
      await closing;
      await client?.close();
    };
    const closed = close().catch(() => undefined);
    if (done === true) await closed;
    return done === true;
  }

  #compare(snapshot: Snapshot, area: Area, data: Buffer): Area {
    const { history } = this.user;
    if ("read" in area) {
      const { wrong, found } = history.settle(area.read, snapshot.until, data);
      for (const text of wrong) this.user.violation(`snapshot ${snapshot.name} of ${text}`);
      return { first: area.read.first, found };
    }
    const now = Array.from(area.found, (_, index) => {
      const bytes = data.subarray(index * CELL_BYTES, (index + 1) * CELL_BYTES);
      return decodeCell(history.volume, area.first + index, bytes);
    });
    const changed = now.findIndex((found, index) => found !== area.found[index]);
    if (changed >= 0)
      this.user.violation(
        `snapshot ${snapshot.name} has changed: cell ${area.first + changed} (byte ${(area.first + changed) * CELL_BYTES}) held write ${area.found[changed]} and holds ${now[changed]}`,
      );
    return area;
  }

  async #delete(): Promise<void> {
    const snapshot = this.random.pick(this.#snapshots);
    if (snapshot === undefined) return;
    this.#forget(snapshot);
    await this.#remove(snapshot.name);
    this.counts.deleted += 1;
  }

  #forget(snapshot: Snapshot): void {
    this.#snapshots = this.#snapshots.filter((other) => other !== snapshot);
    for (const area of snapshot.areas) if ("read" in area) this.user.history.abandonRead(area.read);
  }

  async #remove(name: string): Promise<void> {
    await waitUntil(
      `snapshot ${name} is deleted`,
      async () => {
        await this.user.options.cluster.api("deleteLogicalVolume", { lvolname: name }).catch(() => undefined);
        if ((await this.#status(name)) === undefined) return true;
        await pause(500);
        return false;
      },
      KNOWN_MS,
    );
  }

  /** Those that were lost before anybody looked. */
  async #removeLost(): Promise<void> {
    const volumes = await this.user.options.cluster.api("listLogicalVolumes", {});
    const lost = volumes.filter(
      ({ snapshot_status, associated_to }) =>
        snapshot_status === "INVALID" &&
        associated_to.some(({ lvolid }) => lvolid === this.user.options.lvolid),
    );
    for (const { lvolname } of lost) await this.#remove(lvolname);
  }
}
