import { callControl } from "../../agents/common/control-socket.js";
import { MemberStatus } from "../../shared/states.js";
import { extentPlace } from "../../shared/units.js";
import { Random } from "../cluster/chaos/random.js";
import { seed } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { Rig } from "../volume/rig.js";
import { DiskLink, NbdCommand } from "./disk-link.js";
import { DISKS, type Fault, MIRRORS, REDUNDANCY } from "./schedule.js";
import { UnflushedPages } from "./unflushed-pages.js";

/** Long enough for a machine that is busy, short enough for many runs. */
const MEMBER_TIMEOUT_MS = 1000;
const SNAPSHOT_TIMEOUT_MS = 10_000;
/** Disks of a snapshot's copy-on-write space, in turn. */
const SPACES = [[0, 1], [3], [1, 2], [2]];
/** Each is used once in a life: its space must be blank. */
const SNAPSHOTS = 40;
const SLOW_MS = 12;
/** Faults of a disk that answers nothing. */
const SILENT: ReadonlySet<Fault> = new Set<Fault>(["kill", "freeze", "cut", "late"]);

/** Disks and a volume process that many runs use one after the other. */
export class Lane {
  readonly links: readonly DiskLink[];
  /** Extent of each mirror on each disk: one that was replaced comes back under another id. */
  readonly #extents = new Map<string, number>();
  /** Faults that are not over, by disk. */
  readonly faults = new Map<number, Fault>();
  readonly #pages: readonly UnflushedPages[];
  #boots = 1;
  #healing: Promise<void> = Promise.resolve();
  nextSnapshot = 0;

  private constructor(readonly rig: Rig) {
    this.#pages = rig.disks.map(({ path }) => new UnflushedPages(path));
    const delays = new Random(seed, "delays");
    this.links = rig.disks.map(
      (disk, at) =>
        new DiskLink(
          () => disk.port,
          this.#pages[at] as UnflushedPages, // one for each disk
          () => delays.next(),
        ),
    );
  }

  static async create(): Promise<Lane> {
    const rig = await Rig.create({
      disks: DISKS,
      mirrors: MIRRORS,
      redundancy: REDUNDANCY,
      memberTimeoutMs: MEMBER_TIMEOUT_MS,
      snapshotTimeoutMs: SNAPSHOT_TIMEOUT_MS,
      snapshots: Array.from({ length: SNAPSHOTS }, (_, at) => SPACES[at % SPACES.length] ?? []),
    });
    const lane = new Lane(rig);
    for (const [at, link] of lane.links.entries()) {
      await link.start();
      rig.disk(at).linkPort = link.port;
    }
    return lane;
  }

  stop(): void {
    for (const link of this.links) link.stop();
    for (const pages of this.#pages) pages.close();
  }

  /** Everything anew: blank disks, a volume that was never used. */
  async renew(): Promise<void> {
    const { rig } = this;
    await rig.volume?.kill();
    await this.drain();
    for (const disk of rig.disks) disk.wipe();
    for (const pages of this.#pages) pages.forget();
    rig.manager.snapshots.clear();
    this.#extents.clear();
    this.nextSnapshot = 0;
    for (let mirror = 0; mirror < MIRRORS; mirror += 1) {
      const disks = Array.from({ length: REDUNDANCY }, (_, disk) => disk);
      const members = disks.map((disk) => [rig.dextid(mirror, disk), MemberStatus.INSYNC] as const);
      rig.manager.mirrors.set(rig.mirrorid(mirror), { version: 1, members: new Map(members) });
    }
    for (const [snapshot, own] of rig.options.snapshots.entries()) {
      for (const place of this.spaceMirrors(snapshot)) {
        const members = own.map((disk) => [rig.dextid(place, disk), MemberStatus.INSYNC] as const);
        rig.manager.mirrors.set(rig.mirrorid(place), {
          version: 1,
          members: new Map<number, MemberStatus>(members),
        });
      }
    }
    await this.launch();
  }

  spaceMirrors(snapshot: number): number[] {
    const { rig } = this;
    const count = rig.spaceMirror(1, 0) - rig.spaceMirror(0, 0);
    return Array.from({ length: count }, (_, at) => rig.spaceMirror(snapshot, at));
  }

  /** Starts the volume process as a head agent would: what an earlier one has reported too late is refused from now on. */
  async launch(): Promise<void> {
    for (const row of this.rig.manager.mirrors.values()) row.version += 1;
    const volume = this.rig.launch();
    await waitUntil("the volume is served", async () => {
      if (volume.isOver) return true;
      return (await this.rig.status()).state === "serving";
    }).catch(async (error: unknown) => {
      // Else it would answer for the next one.
      await volume.kill();
      throw error;
    });
    if (volume.isOver) throw new Error(`the volume process ended with ${await volume.exited} at its start`);
  }

  /** The extent of a mirror on a disk that counts now. */
  extentId(mirror: number, disk: number): number {
    return this.#extents.get(`${mirror}/${disk}`) ?? this.rig.dextid(mirror, disk);
  }

  /** Allocates the extent anew. */
  newExtent(mirror: number, disk: number): number {
    const dextid = this.extentId(mirror, disk) + 100_000;
    this.#extents.set(`${mirror}/${disk}`, dextid);
    return dextid;
  }

  /** Bytes of a member's data. */
  peek(mirror: number, disk: number, offset: number, length: number): Buffer {
    return (this.#pages[disk] as UnflushedPages).peek(extentPlace(mirror, 1).dataStart + offset, length);
  }

  /** Ids of the members of a mirror with this status. */
  members(mirror: number, status: MemberStatus): number[] {
    const rows = this.rig.manager.mirrors.get(this.rig.mirrorid(mirror))?.members ?? [];
    return [...rows].filter(([, is]) => is === status).map(([dextid]) => dextid);
  }

  /** Whether each mirror of the volume would keep a good copy on a disk without faults. */
  canSpare(disk: number): boolean {
    return Array.from({ length: MIRRORS }, (_, mirror) => mirror).every((mirror) =>
      this.members(mirror, MemberStatus.INSYNC).some((id) => id % 100 !== disk && !this.faults.has(id % 100)),
    );
  }

  async fault(disk: number, fault: Fault, isLost: () => boolean): Promise<void> {
    const link = this.links[disk] as DiskLink;
    this.faults.set(disk, fault);
    if (fault === "kill") await this.rig.disk(disk).kill();
    else if (fault === "freeze") this.rig.disk(disk).process?.signal("SIGSTOP");
    else if (fault === "cut") link.cut();
    else if (fault === "late") {
      link.delayMs = 10 * SLOW_MS;
      setTimeout(() => this.faults.get(disk) === "late" && link.cut(true), 5 * SLOW_MS);
    } else if (fault === "slow") link.delayMs = SLOW_MS;
    else if (fault === "read errors") link.failing.add(NbdCommand.READ);
    else if (fault === "write errors") link.failing.add(NbdCommand.WRITE);
    else if (fault === "flush errors") link.failing.add(NbdCommand.FLUSH);
    else await this.#losePower([disk], isLost);
  }

  /** Waits until each disk that does not answer has lost a member; the last good copies, and what nobody asks, stay. */
  async silence(): Promise<void> {
    const silent = [...this.faults].filter(([, fault]) => SILENT.has(fault)).map(([disk]) => disk);
    const isWhole = (disk: number) =>
      Array.from({ length: MIRRORS }, (_, mirror) => mirror).every((mirror) =>
        this.members(mirror, MemberStatus.INSYNC).some((dextid) => dextid % 100 === disk),
      );
    const isOver = () => !silent.some(isWhole);
    await waitUntil("silent disks are dropped", isOver, 2 * MEMBER_TIMEOUT_MS).catch(() => undefined);
  }

  /** All disks work again. One call after the other: of two at once each would start the servers that were killed. */
  heal(): Promise<void> {
    this.#healing = this.#healing.then(() => this.#heal());
    return this.#healing;
  }

  async #heal(): Promise<void> {
    for (const [disk, fault] of this.faults) {
      const { process } = this.rig.disk(disk);
      process?.signal("SIGCONT");
      if (fault === "kill") await this.rig.startDisk(this.rig.disk(disk));
      this.links[disk]?.heal();
      this.faults.delete(disk);
    }
  }

  /** The power of all disks fails while the volume process is dead; then all of them work again. */
  async cutPower(isLost: () => boolean): Promise<void> {
    await this.#losePower([...this.links.keys()], isLost);
    await this.heal();
    for (const link of this.links) link.heal();
  }

  /** Waits until nothing that was sent can reach a disk any more. The volume process must be dead. */
  async drain(): Promise<void> {
    const frozen = [...this.faults]
      .filter(([, fault]) => fault === "freeze")
      .map(([disk]) => this.rig.disk(disk));
    for (const disk of frozen) disk.process?.signal("SIGCONT");
    await Promise.all(this.links.map((_, disk) => this.#drainDisk(disk)));
    for (const disk of frozen) disk.process?.signal("SIGSTOP");
  }

  async #drainDisk(disk: number): Promise<void> {
    const { control, process } = this.rig.disk(disk);
    await waitUntil("nothing is on its way to the disk", async () => {
      if (this.links[disk]?.isIdle !== true) return false;
      if (process?.isOver === true) return true;
      const { connections } = (await callControl(control, "status", {}, 5000)) as { connections: unknown[] };
      return connections.length === 0;
    });
  }

  /** What was not flushed is lost, as far as `isLost` says; then the servers start again. */
  async #losePower(disks: readonly number[], isLost: () => boolean): Promise<void> {
    this.#boots += 1;
    for (const disk of disks) this.links[disk]?.cut();
    for (const disk of disks) this.rig.disk(disk).process?.signal("SIGCONT");
    await Promise.all(disks.map((disk) => this.#drainDisk(disk)));
    for (const disk of disks) {
      this.#pages[disk]?.lose(isLost);
      const link = this.links[disk] as DiskLink;
      link.bootId = `boot-${this.#boots}`;
    }
  }
}
