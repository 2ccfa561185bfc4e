import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { expect } from "vitest";
import { showVolume } from "../../../shared/ids.js";
import type { VolumeInfo } from "../../../shared/methods/manager-methods.js";
import { BindEvent, BindStatus, MemberStatus, Priority } from "../../../shared/states.js";
import { GIB, MIB } from "../../../shared/units.js";
import { membersOf, mirrorsOf, type TestCluster } from "../../harness/cluster.js";
import { CrashProbe } from "../../harness/crash-points.js";
import { differenceOf, extentFiles } from "../../harness/disk-files.js";
import { NbdClient } from "../../harness/nbd-client.js";
import { randomData } from "../../harness/random-data.js";
import type { TestServer } from "../../harness/test-server.js";
import { firstMismatch, writeAll } from "../../harness/volume-io.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { Victim } from "./job-kind.js";

/** The volume that the jobs are about. */
export const VOLUME = { lvolname: "data", capacity: 1 } as const;
const SNAPSHOT = "data-snapshot";
const PIECE = MIB / 2;
/** Where the content is written and read: both ends of the volume. */
const PLACES = [0, GIB - PIECE] as const;
/** More than the period of an agent's registration, which finds what an event did not tell. */
const QUIET_MS = 300_000;

/** A volume as the manager's database has it. */
interface VolumeRecord {
  readonly lvolid: number;
  readonly lvolname: string;
  readonly bind_status: number;
  readonly bind_event: number;
  readonly epoch: number;
  readonly epoch_open: number;
}

/** What a storage server has written down of a volume. */
interface AccessRecord {
  readonly lvolid: number;
  readonly revoked: number;
  readonly grant?: { readonly epoch: number; readonly extents: readonly { readonly dextid: number }[] };
}

/** Bytes of a disk file that hold content of the volume. */
export interface ContentPlace {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** A cluster that is kept for all points of a kind, and what is known of its volume. */
export class CrashWorld {
  readonly probes: Readonly<Record<Victim, CrashProbe>>;
  /** Set by `create`. */
  lvolid = 0;
  /** What a kind wants to know again when it finishes a run. */
  readonly memory = new Map<string, number>();
  /** Where bytes lie that a job must remove. */
  oldContent: readonly ContentPlace[] = [];
  #content: readonly Buffer[] = [];
  #snapshotContent: readonly Buffer[] = [];
  #writes = 0;

  /** The cluster is not started yet. */
  constructor(readonly cluster: TestCluster) {
    this.probes = {
      manager: new CrashProbe(cluster.manager),
      head: new CrashProbe(this.head),
      storage: new CrashProbe(cluster.storage[0] as TestServer),
    };
  }

  /** The head server that the jobs are about. */
  get head(): TestServer {
    return this.cluster.heads[0] as TestServer;
  }

  /** Another one, to see if a volume can be used elsewhere afterwards. */
  get otherHead(): TestServer {
    return this.cluster.heads[1] as TestServer;
  }

  /** Makes the volume, with a copy on each of so many servers. */
  async create(redundancy: number): Promise<void> {
    this.lvolid = await this.cluster.api("createLogicalVolume", { ...VOLUME, redundancy });
    this.#content = [];
  }

  /** The volume as the API tells it; undefined if it is deleted. */
  async volume(): Promise<VolumeInfo | undefined> {
    const volumes = await this.cluster.api("listLogicalVolumes", {});
    return volumes.find(({ lvolid }) => lvolid === this.lvolid);
  }

  async attach(head: TestServer): Promise<void> {
    const hsvrid = await this.cluster.headServerId(head);
    await this.cluster.api("attachLogicalVolume", { lvolid: this.lvolid, hsvrid });
  }

  async detach(): Promise<void> {
    await this.cluster.api("detachLogicalVolume", { lvolid: this.lvolid });
  }

  /** The volume is attached there and whole, and its content is as it was written. */
  async makeBound(head: TestServer): Promise<void> {
    await this.bringUp(head);
    const volume = await this.volume();
    const hsvrid = await this.cluster.headServerId(head);
    if (volume?.bind_status !== BindStatus.BOUND || volume.hsvrid !== hsvrid) {
      await this.detach();
      // Where a kind gives an attach little time, a busy machine may need more.
      await waitUntil("the volume is attached", () => this.attach(head).then(() => true), 240_000);
    }
    await this.settle();
    await this.use(head);
  }

  /** The volume is attached nowhere. */
  async makeUnbound(): Promise<void> {
    await this.detach();
    await this.settle();
  }

  /** As `makeUnbound`, with all copies equal, if the volume is there. */
  async makeWholeAndUnbound(): Promise<void> {
    if ((await this.volume()) === undefined) return;
    // A head that a kind keeps down comes back with this.
    await this.makeBound(this.head);
    await this.makeUnbound();
  }

  /** The volume's content reads as it was written; then another one is written. */
  async use(head: TestServer): Promise<void> {
    const client = await NbdClient.connect({ path: head.socket(VOLUME.lvolname) });
    try {
      for (const [index, data] of this.#content.entries()) {
        expect(await firstMismatch(client, PLACES[index] ?? 0, data), "the first byte that differs").toBe(
          undefined,
        );
      }
      this.#writes += 1;
      const next = PLACES.map((place) => randomData(`${this.#writes} at ${place}`, PIECE));
      // What is written is not acknowledged before it is all written: an end in between would leave either.
      for (const [index, data] of next.entries()) await writeAll(client, PLACES[index] ?? 0, data);
      await client.flush();
      this.#content = next;
    } finally {
      await client.close();
    }
  }

  /** A snapshot of the volume; undefined if there is none. */
  async snapshot(): Promise<VolumeInfo | undefined> {
    const volumes = await this.cluster.api("listLogicalVolumes", {});
    return volumes.find(({ lvolname }) => lvolname === SNAPSHOT);
  }

  async takeSnapshot(): Promise<void> {
    await this.cluster.api("createSnapshot", { origin_lvolid: this.lvolid, snapshot_lvolname: SNAPSHOT });
    this.#snapshotContent = this.#content;
  }

  async deleteSnapshot(): Promise<void> {
    await this.cluster.api("deleteLogicalVolume", { lvolname: SNAPSHOT });
  }

  /** The snapshot reads as the volume was when it was taken. It was not written to since the call began. */
  async readSnapshot(head: TestServer): Promise<void> {
    const client = await NbdClient.connect({ path: head.socket(SNAPSHOT) });
    try {
      for (const [index, data] of this.#snapshotContent.entries())
        expect(await firstMismatch(client, PLACES[index] ?? 0, data), "the snapshot differs").toBe(undefined);
    } finally {
      await client.close();
    }
  }

  /** The content now is that of a snapshot whose caller was cut off. */
  rememberForSnapshot(): void {
    this.#snapshotContent = this.#content;
  }

  /** The server is one that gets volumes: a head that was declared lost must start again for that. */
  async bringUp(head: TestServer): Promise<void> {
    const isUp = async (): Promise<boolean> => {
      const heads = await this.cluster.api("listHeadServers", {});
      return heads.some(
        ({ ip_data, priority }) => ip_data.includes(head.plan.address) && priority === Priority.HIGH,
      );
    };
    if (head.control().length > 0 && (await isUp())) return;
    await head.killControl();
    head.up();
    await waitUntil(`${head.plan.name} is in use`, isUp);
  }

  /** The extents that the volume is made of. */
  async members(): Promise<number[]> {
    const tree = await this.cluster.api("showLogicalVolume", { lvolid: this.lvolid });
    return membersOf(tree).map(({ lvolid }) => lvolid);
  }

  /** Whether nothing is under way, and nothing is left to do. */
  async isQuiet(): Promise<boolean> {
    const { jobs, capacity } = await this.cluster.status();
    if (jobs.length > 0 || capacity.unshredded > 0) return false;
    const volumes = await this.cluster.api("listLogicalVolumes", {});
    const isDone = ({ bind_status, bind_event, fault }: VolumeInfo): boolean =>
      bind_event === BindEvent.NONE && !(fault && bind_status === BindStatus.BOUND);
    if (!volumes.every(isDone)) return false;
    for (const head of this.cluster.heads) {
      const hsvrid = await this.cluster.headServerId(head);
      const bound = volumes.filter(
        ({ snapshot_status, ...volume }) =>
          snapshot_status === "" && volume.hsvrid === hsvrid && volume.bind_status === BindStatus.BOUND,
      );
      if (bound.length !== head.dataPathPids().length) return false;
    }
    return true;
  }

  /** Waits until nothing is under way. @throws Error that tells what still is */
  async settle(): Promise<void> {
    await waitUntil("nothing is under way", () => this.isQuiet(), QUIET_MS).catch(async (error: unknown) => {
      const { jobs, capacity } = await this.cluster.status();
      const volumes = await this.cluster.api("listLogicalVolumes", {});
      const processes = this.cluster.heads.map((head) => head.dataPathPids().length);
      throw new Error(`stuck: ${JSON.stringify({ jobs, capacity, volumes, processes })}`, { cause: error });
    });
  }

  /** The end state, as far as it must be the same after every run. */
  async state(): Promise<object> {
    const { capacity, head_servers, storage_servers, disks } = await this.cluster.status();
    const volumes = [];
    for (const { lvolid, lvolname, bind_status, bind_event } of this.#records()) {
      const tree = await this.cluster.api("showLogicalVolume", { lvolid });
      const members = membersOf(tree).map(({ mirror_status }) => mirror_status);
      const { epoch_open } = this.#records().find((record) => record.lvolid === lvolid) ?? {};
      volumes.push({ lvolname, bind_status, bind_event, epoch_open, members: members.toSorted() });
    }
    return { volumes, capacity, up: [head_servers.up, storage_servers.up, disks.up] };
  }

  /**
   * What is wrong with what the storage servers let through to the copies that the manager counts on.
   *
   * @param mayBeLate a storage server was away when an epoch ended; as its head has confirmed that nobody uses it, it is
   * enough that the next grant closes it there
   */
  async accessFindings(mayBeLate: boolean): Promise<string[]> {
    const findings: string[] = [];
    for (const { lvolid, epoch, bind_status } of this.#records()) {
      const good = await this.#goodCopies(lvolid);
      for (const server of this.cluster.storage) {
        const ssvrid = await this.cluster.storageServerId(server);
        const access = accessOf(server, lvolid);
        const isOpen = access?.grant?.epoch === epoch && access.revoked < epoch;
        for (const { dextid } of good.filter((copy) => copy.ssvrid === ssvrid)) {
          const isGranted = isOpen && access.grant?.extents.some((extent) => extent.dextid === dextid);
          const isWrong =
            (bind_status === BindStatus.BOUND && !isGranted) ||
            (bind_status === BindStatus.UNBOUND && isGranted && !mayBeLate);
          const what = `epoch ${epoch} of ${showVolume(lvolid)} is ${isGranted ? "" : "not "}granted extent ${dextid}`;
          if (isWrong) findings.push(`${server.plan.name}: ${what}`);
        }
      }
    }
    return findings;
  }

  /** The places in the disk files where the volume's content is now. */
  async contentPlaces(): Promise<ContentPlace[]> {
    const tree = await this.cluster.api("showLogicalVolume", { lvolid: this.lvolid });
    return (await extentFiles(this.cluster, membersOf(tree))).flatMap(({ path, place }) =>
      PLACES.map((at) => ({ path, from: place.dataStart + at, to: place.dataStart + at + PIECE })),
    );
  }

  async #goodCopies(lvolid: number): Promise<{ readonly dextid: number; readonly ssvrid: number }[]> {
    return membersOf(await this.cluster.api("showLogicalVolume", { lvolid }))
      .filter(({ mirror_status }) => mirror_status === MemberStatus.INSYNC)
      .map(({ lvolid: dextid, lvolspec: { ssvrid } }) => ({ dextid, ssvrid }));
  }

  /** Compares the copies of the volume byte for byte; it must be whole and attached nowhere. @returns differences */
  async differences(): Promise<string[]> {
    if ((await this.volume()) === undefined) return [];
    const tree = await this.cluster.api("showLogicalVolume", { lvolid: this.lvolid });
    const found = await Promise.all(mirrorsOf(tree).map((mirror) => differenceOf(this.cluster, mirror)));
    return found.filter((difference) => difference !== undefined);
  }

  #records(): VolumeRecord[] {
    const path = join(this.cluster.manager.plan.folder, "manager.db");
    const database = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
    try {
      const sql = "SELECT lvolid, lvolname, bind_status, bind_event, epoch, epoch_open FROM volume";
      return database.prepare<[], VolumeRecord>(`${sql} ORDER BY lvolname`).all();
    } finally {
      database.close();
    }
  }
}

function accessOf(server: TestServer, lvolid: number): AccessRecord | undefined {
  const folder = join(String(server.plan.conf.ssvr_agent?.state_dir));
  const name = `${showVolume(lvolid)}.json`;
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((path) =>
    path.endsWith(name),
  );
  if (found === undefined || !existsSync(join(folder, found))) return undefined;
  return JSON.parse(readFileSync(join(folder, found), "utf8"));
}
