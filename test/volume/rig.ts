import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import type {
  ExtentNode,
  LinearNode,
  MirrorNode,
  SnapshotNode,
  VolumeNode,
} from "../../shared/layout-tree.js";
import { snapshotCapacity } from "../../shared/snapshot-space.js";
import { MemberStatus, VolumeType } from "../../shared/states.js";
import { EXTENT_UNIT_BYTES, extentPlace, MIB } from "../../shared/units.js";
import { NbdClient } from "../harness/nbd-client.js";
import { waitUntil } from "../harness/wait-until.js";
import { ManagerStub } from "./manager-stub.js";
import { TestDisk } from "./test-disk.js";
import { TestProcess } from "./test-process.js";

export const LVOLID = 1;
const DISK_GB = 3;
const FIRST_SNAPSHOT = 0x2000;

export interface RigOptions {
  /** Disks in all, each with an export process of its own. */
  readonly disks?: number;
  /** Mirrors of 1 GB each; mirror m has its members on the first `redundancy` disks. */
  readonly mirrors?: number;
  readonly redundancy?: number;
  readonly memberTimeoutMs?: number;
  readonly snapshotTimeoutMs?: number;
  /** How many snapshots there is room for: for each its disks. Their mirrors of 1 GB each come after the volume's. */
  readonly snapshots?: readonly (readonly number[])[];
  /** Where the files of some disks are, by their index; those of the others are in the rig's own folder. */
  readonly diskFolders?: Readonly<Record<number, string>>;
  /** Disks can lose power. */
  readonly losesPower?: boolean;
}

/** Disks, a manager and a volume process, all real but for the manager's database. Gone when the test ends. */
export class Rig {
  readonly manager = new ManagerStub();
  readonly disks: TestDisk[] = [];
  readonly folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : "/tmp", "vol-"));
  volume: TestProcess | undefined;
  isGranted = true;
  #starts = 0;

  private constructor(readonly options: Required<RigOptions>) {}

  static async create(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig({
      disks: 3,
      mirrors: 1,
      redundancy: 3,
      memberTimeoutMs: 1000,
      snapshotTimeoutMs: 20_000,
      snapshots: [],
      diskFolders: {},
      losesPower: false,
      ...options,
    });
    onTestFinished(async ({ task }) => {
      if (task.result?.state === "fail") process.stderr.write(`${task.name}\n${rig.log.slice(-6000)}\n`);
      await rig.destroy();
    });
    await rig.manager.start();
    for (let at = 1; at <= rig.options.disks; at += 1) {
      rig.disks.push(new TestDisk(100 + at, rig.folder, rig.#diskBytes, rig.options.diskFolders[at - 1]));
    }
    if (rig.options.losesPower) for (const disk of rig.disks) disk.journal();
    await Promise.all(rig.disks.map((disk) => rig.startDisk(disk)));
    const disks = Array.from({ length: rig.options.redundancy }, (_, disk) => disk);
    for (let at = 0; at < rig.options.mirrors; at += 1) rig.#addMirror(at, disks);
    for (const [snapshot, own] of rig.options.snapshots.entries()) {
      for (let at = 0; at < rig.#spaceGb; at += 1) rig.#addMirror(rig.spaceMirror(snapshot, at), own);
    }
    return rig;
  }

  #addMirror(mirror: number, disks: readonly number[]): void {
    const status: MemberStatus = MemberStatus.INSYNC;
    const members = disks.map((disk) => [this.dextid(mirror, disk), status] as const);
    this.manager.mirrors.set(this.mirrorid(mirror), { version: 1, members: new Map(members) });
  }

  get #spaceGb(): number {
    return snapshotCapacity(this.options.mirrors);
  }
  /** Mirrors of the volume and of all copy-on-write spaces. */
  get #mirrorCount(): number {
    return this.options.mirrors + this.options.snapshots.length * this.#spaceGb;
  }
  get #diskBytes(): number {
    return Math.max(DISK_GB, this.#mirrorCount) * EXTENT_UNIT_BYTES + MIB;
  }

  get log(): string {
    return readFileSync(join(this.folder, "log"), "utf8");
  }
  get socket(): string {
    return join(this.folder, "lvol-00000001");
  }
  /** The number of a mirror of a snapshot's copy-on-write space, to be used as the volume's are. */
  spaceMirror(snapshot: number, mirror: number): number {
    return this.options.mirrors + snapshot * this.#spaceGb + mirror;
  }
  snapshotId(snapshot: number): number {
    return FIRST_SNAPSHOT + snapshot;
  }
  snapshotSocket(snapshot: number): string {
    return join(this.folder, `lvol-${this.snapshotId(snapshot).toString(16).padStart(8, "0")}`);
  }
  snapshotLink(snapshot: number): string {
    return join(this.folder, `snap${snapshot}`);
  }
  get link(): string {
    return join(this.folder, "vol");
  }
  mirrorid(mirror: number): number {
    return 10 + mirror;
  }
  /** The extent of a mirror on the disk number `disk` (from 0). */
  dextid(mirror: number, disk: number): number {
    return 1000 + mirror * 100 + disk;
  }
  disk(index: number): TestDisk {
    const disk = this.disks[index];
    if (disk === undefined) throw new Error(`there is no disk ${index}`);
    return disk;
  }

  extent(mirror: number, disk: number, status: MemberStatus, lvolid = this.dextid(mirror, disk)): ExtentNode {
    const { pdskid, port, linkPort } = this.disk(disk);
    const iscsi_path = [`nbd://127.0.0.1:${linkPort ?? port}/pdsk-${pdskid.toString(16).padStart(8, "0")}`];
    const lvolspec = { pdskid, offset: mirror, ssvrid: disk + 1, iscsi_path, generation: 1 };
    return {
      lvolid,
      lvoltype: VolumeType.DEXT,
      capacity: 1,
      mirror_status: status,
      lvolspec,
      labels: [],
      components: [],
    };
  }

  /** The tree as the manager has it, with the snapshots that it lists as valid. */
  tree(): VolumeNode {
    const capacity = this.options.mirrors;
    const status = { labels: [], mirror_status: MemberStatus.INSYNC, capacity };
    const linear = this.#linear(
      2,
      Array.from({ length: capacity }, (_, at) => at),
    );
    const assoc = this.options.snapshots
      .map((_, snapshot) => this.snapshotTree(snapshot))
      .filter(({ lvolid }) => this.manager.snapshots.get(lvolid) === true);
    const lvolspec = { lvolname: "vol", redundancy: this.options.redundancy, assoc, ctime: "" };
    return { ...status, lvolid: LVOLID, lvoltype: VolumeType.LVOL, lvolspec, components: [linear] };
  }

  /** The tree of one of the snapshots that there is room for. */
  snapshotTree(snapshot: number): SnapshotNode {
    const capacity = this.#spaceGb;
    const status = { labels: [], mirror_status: MemberStatus.INSYNC, capacity };
    const lvolid = this.snapshotId(snapshot);
    const linear = this.#linear(
      lvolid + 0x2000,
      Array.from({ length: capacity }, (_, at) => this.spaceMirror(snapshot, at)),
    );
    const layer = {
      ...status,
      lvolid: lvolid + 0x1000,
      lvoltype: VolumeType.SNAPSHOT,
      lvolspec: { origin_lvolid: 3 },
      components: [linear] as const,
    };
    const redundancy = this.options.snapshots[snapshot]?.length ?? 0;
    const lvolspec = { lvolname: `snap${snapshot}`, redundancy, assoc: [], ctime: "" };
    return { ...status, lvolid, lvoltype: VolumeType.LVOL, lvolspec, components: [layer] };
  }

  #linear(lvolid: number, mirrors: readonly number[]): LinearNode {
    const components = mirrors.map((mirror) => this.#mirrorNode(mirror));
    const status = { labels: [], mirror_status: MemberStatus.INSYNC, capacity: mirrors.length };
    return { ...status, lvolid, lvoltype: VolumeType.LINEAR, lvolspec: {}, components };
  }

  #mirrorNode(mirror: number): MirrorNode {
    const row = this.manager.mirrors.get(this.mirrorid(mirror));
    if (row === undefined) throw new Error("no such mirror");
    const components = [...row.members].map(([dextid, status]) =>
      this.extent(mirror, dextid % 100, status, dextid),
    );
    const status = { labels: [], mirror_status: MemberStatus.INSYNC, capacity: 1 };
    const lvolspec = { version: row.version };
    return { ...status, lvolid: this.mirrorid(mirror), lvoltype: VolumeType.MIRROR, lvolspec, components };
  }

  /** Takes a snapshot, as the manager would; it is valid once that has succeeded. */
  async createSnapshot(snapshot: number): Promise<void> {
    const lvolstruct = this.snapshotTree(snapshot);
    await this.control("createSnapshot", { lvolstruct });
    this.manager.snapshots.set(lvolstruct.lvolid, true);
  }

  async deleteSnapshot(snapshot: number): Promise<void> {
    const lvolid = this.snapshotId(snapshot);
    await this.control("deleteSnapshot", { lvolid });
    this.manager.snapshots.delete(lvolid);
  }

  async openSnapshot(snapshot: number): Promise<NbdClient> {
    const client = await NbdClient.connect({ path: this.snapshotLink(snapshot) });
    onTestFinished(() => client.close().catch(() => undefined));
    return client;
  }

  /** What `status` tells of a snapshot. */
  async snapshotStatus(
    snapshot: number,
  ): Promise<{ state: string; clients: number; copied: number } | undefined> {
    const { snapshots } = await this.status();
    return snapshots.find(({ lvolid }: { lvolid: number }) => lvolid === this.snapshotId(snapshot));
  }

  grants(): object {
    const extents = Array.from({ length: this.#mirrorCount }, (_, at) => {
      const { start, end } = extentPlace(at, 1);
      return { start, end, dextid: 1000 + at };
    });
    return {
      grants: this.isGranted ? [{ lvolid: LVOLID, epoch: this.manager.epoch, extents }] : [],
      revoked: [],
    };
  }

  startDisk(disk: TestDisk): Promise<void> {
    return disk.start(this.grants());
  }

  /** Tells the export processes what is granted now. */
  async pushGrants(disk: TestDisk): Promise<void> {
    await callControl(disk.control, "setGrants", this.grants(), 5000);
  }

  /** Starts the volume process with the tree as the manager has it, and returns at once. */
  launch(): TestProcess {
    this.#starts += 1;
    const spec = join(this.folder, `spec-${this.#starts}.json`);
    const { memberTimeoutMs, snapshotTimeoutMs } = this.options;
    const managers = [{ host: "127.0.0.1", port: this.manager.port }];
    const { socket, link: nameLink, epochNow: epoch } = this;
    const controlSocket = join(this.folder, "control");
    const document = {
      lvolstruct: this.tree(),
      epoch,
      incarnation: this.#starts,
      managers,
      memberTimeoutMs,
      snapshotTimeoutMs,
      socket,
      nameLink,
      tcp: null,
      controlSocket,
    };
    writeFileSync(spec, JSON.stringify(document));
    this.volume = new TestProcess("agents/head/nbd/volume-main.js", spec, join(this.folder, "log"));
    return this.volume;
  }

  get epochNow(): number {
    return this.manager.epoch;
  }

  async attach(): Promise<void> {
    this.launch();
    await waitUntil("the volume is served", async () => (await this.status()).state === "serving");
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a test looks at in a status is its own affair
  async status(): Promise<any> {
    return await this.control("status", {});
  }

  control(method: string, params: object, timeoutMs = 240_000): Promise<unknown> {
    return callControl(join(this.folder, "control"), method, params, timeoutMs);
  }

  resync(mirror: number, disk: number, remove: ExtentNode | null = null): Promise<unknown> {
    const version = this.manager.mirrors.get(this.mirrorid(mirror))?.version ?? 0;
    const add = this.extent(mirror, disk, MemberStatus.SPARE);
    return this.control("replaceMember", { mirrorid: this.mirrorid(mirror), version, add, remove });
  }

  /** How many chunks of 1 MiB each copying was to copy, in order, once so many are in the log. */
  chunksCopied(copyings: number): Promise<number[]> {
    return waitUntil(`${copyings} copyings are in the log`, () => {
      const found = [...this.log.matchAll(/"chunks":(\d+)/g)].map(([, chunks]) => Number(chunks));
      return found.length >= copyings && found;
    });
  }

  async open(): Promise<NbdClient> {
    const client = await NbdClient.connect({ path: this.link });
    onTestFinished(() => client.close().catch(() => undefined));
    return client;
  }

  /** Bytes of a member's data, read behind the back of everything. */
  peek(mirror: number, disk: number, offset: number, length: number): Buffer {
    const file = openSync(this.disk(disk).path, "r");
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, extentPlace(mirror, 1).dataStart + offset);
    closeSync(file);
    return bytes;
  }

  /** Writes to a member's data behind the back of everything. */
  poke(mirror: number, disk: number, offset: number, bytes: Buffer): void {
    const file = openSync(this.disk(disk).path, "r+");
    writeSync(file, bytes, 0, bytes.length, extentPlace(mirror, 1).dataStart + offset);
    closeSync(file);
  }

  /** The state of a member in the volume process. */
  async memberState(mirror: number, disk: number): Promise<string | undefined> {
    const found = (await this.status()).mirrors.find(
      (row: { mirrorid: number }) => row.mirrorid === this.mirrorid(mirror),
    );
    return found?.members.find((member: { dextid: number }) => member.dextid === this.dextid(mirror, disk))
      ?.state;
  }

  async destroy(): Promise<void> {
    await this.volume?.kill();
    await Promise.all(this.disks.map((disk) => disk.kill()));
    await this.manager.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
