import { describeError, VasError } from "../../../shared/errors.js";
import { showMirror, showVolume } from "../../../shared/ids.js";
import {
  linearOf,
  mapMirrors,
  type ParsedExtent,
  type ParsedMirror,
  type ParsedSnapshot,
  type ParsedVolume,
} from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import { MemberStatus } from "../../../shared/states.js";
import type { Milliseconds } from "../../../shared/units.js";
import { devicePath, removeDevice } from "../../common/device-mapper.js";
import { inParallel } from "../../common/in-parallel.js";
import { runProgram } from "../../common/run-program.js";
import type { ManagerPort } from "../manager-port.js";
import { Devices } from "./devices.js";
import { Extents } from "./extents.js";
import { examine, readArray, readWritten } from "./md.js";
import { type Member, Mirror } from "./mirror.js";
import { VolumeNames } from "./names.js";
import type { VolumeSpec } from "./spec.js";
import { takeDown } from "./take-down.js";
import { Watch } from "./watch.js";

const STARTED_AT_ONCE = 8;
const EXAMINE_MS: Milliseconds = 20_000;
const FLUSH_MS: Milliseconds = 60_000;
/** One that waits for a member is not begun again beside the first. */
const LONG_MS: Milliseconds = 24 * 3600 * 1000;

export interface VolumeOptions {
  readonly spec: VolumeSpec;
  readonly manager: ManagerPort;
  readonly log: Log;
  readonly ending: AbortSignal;
}

/** A snapshot whose devices are there. */
interface Snapshot {
  readonly node: ParsedSnapshot;
  readonly mirrors: readonly Mirror[];
  state: "creating" | "active" | "invalid";
}

/**
 * A volume put together out of the kernel's parts. Every step leaves alone what is there, so that a process that is started
 * again goes on with what its predecessor built, while users go on using it.
 */
export class Volume {
  readonly mirrors: readonly Mirror[];
  readonly snapshots = new Map<number, Snapshot>();
  readonly #options: VolumeOptions;
  readonly #names: VolumeNames;
  readonly #extents: Extents;
  readonly #devices: Devices;
  /** Turns in a row in which an extent could not be reached. */
  readonly #silent = new Map<number, number>();
  #watch: Watch | undefined;
  #written = new Map<string, number>();
  #isFlushing = false;

  constructor(options: VolumeOptions) {
    const { spec, log } = options;
    const { lvolstruct, owner, epoch, chap, memberTimeoutMs, deviceFolder } = spec;
    this.#options = options;
    this.#names = new VolumeNames(owner, lvolstruct.lvolid);
    this.#extents = new Extents({ names: this.#names, epoch, chap, silenceMs: memberTimeoutMs, log });
    this.#devices = new Devices(this.#names, deviceFolder, linearOf(lvolstruct).capacity);
    this.mirrors = linearOf(lvolstruct).components.map((node) => this.#newMirror(node));
  }

  /** Mirrors of the volume, and of the copy-on-write spaces of its snapshots. */
  get allMirrors(): readonly Mirror[] {
    return [...this.mirrors, ...[...this.snapshots.values()].flatMap(({ mirrors }) => mirrors)];
  }

  /** @throws VasError EHOSTDOWN, EIO if a mirror has no good copy that can be reached; ProgramError */
  async start(): Promise<void> {
    const { lvolstruct, maintenance } = this.#options.spec;
    const { lvolid, lvolspec } = lvolstruct;
    await this.#startMirrors(this.mirrors);
    await this.#devices.ensureLinear(lvolid, piecesOf(this.mirrors));
    for (const node of lvolspec.assoc) await this.#resumeSnapshot(node);
    if (!maintenance) {
      await this.#devices.ensureTop(this.snapshots.size > 0);
      await this.#devices.link(lvolid, lvolspec.lvolname);
    }
    const { memberTimeoutMs } = this.#options.spec;
    this.#watch = new Watch(memberTimeoutMs, (count) => this.#look(count), this.#options.log);
  }

  /** @throws VasError ENOENT */
  mirrorOf(mirrorid: number): Mirror {
    const mirror = this.allMirrors.find((candidate) => candidate.mirrorid === mirrorid);
    if (mirror === undefined) throw new VasError("ENOENT", `the volume has no ${showMirror(mirrorid)}`);
    return mirror;
  }

  /** @throws VasError EBUSY while the volume or a snapshot is open, ETIMEDOUT if it can't be flushed; then it goes on */
  async detach(): Promise<void> {
    const { spec } = this.#options;
    const { lvolid, lvolspec } = spec.lvolstruct;
    await this.#devices.assertUnused();
    try {
      await this.#flush(FLUSH_MS);
      // From here on nobody can open it. Who did a moment ago is found by this, and keeps it.
      if (!spec.maintenance) {
        await this.#devices.unlink(lvolid);
        await removeDevice(this.#names.top);
      }
      await this.#flush(FLUSH_MS);
    } catch (error) {
      if (!spec.maintenance) {
        await this.#devices.ensureTop(this.snapshots.size > 0);
        await this.#devices.link(lvolid, lvolspec.lvolname);
      }
      if (error instanceof VasError) throw error;
      throw new VasError("ETIMEDOUT", `${showVolume(lvolid)} can't be flushed: ${describeError(error)}`, {
        cause: error,
      });
    }
    await this.stop();
    await takeDown({ names: this.#names, epoch: spec.epoch, folder: spec.deviceFolder });
  }

  /** Ends the watching; what was built stays. */
  async stop(): Promise<void> {
    await this.#watch?.stop();
  }

  /** Takes a snapshot. After a failure nothing of it is left here. */
  async createSnapshot(node: ParsedSnapshot): Promise<void> {
    const { lvolid } = node;
    if (this.snapshots.get(lvolid)?.state === "active") return;
    const snapshot = this.#newSnapshot(node);
    try {
      await this.#startMirrors(snapshot.mirrors);
      await this.#devices.ensureLinear(lvolid, piecesOf(snapshot.mirrors));
      await this.#devices.takeSnapshot(lvolid);
      await this.#devices.link(lvolid, node.lvolspec.lvolname);
      snapshot.state = "active";
    } catch (error) {
      await this.deleteSnapshot(lvolid);
      if (error instanceof VasError) throw error;
      throw new VasError("EIO", describeError(error), { cause: error });
    }
  }

  /** Ends a snapshot, if it is there. @throws VasError EBUSY while it is open */
  async deleteSnapshot(lvolid: number): Promise<void> {
    const snapshot = this.snapshots.get(lvolid);
    if (snapshot === undefined) return;
    const isLast = [...this.snapshots.keys()].every((other) => other === lvolid);
    try {
      await this.#devices.endSnapshot(lvolid, isLast);
    } catch (error) {
      if (snapshot.state === "active")
        await this.#devices.link(lvolid, snapshot.node.lvolspec.lvolname).catch(() => undefined);
      throw error;
    }
    this.snapshots.delete(lvolid);
    for (const mirror of snapshot.mirrors) await mirror.end();
  }

  /** The layout tree as it is now: snapshots that are kept, members, their statuses, versions. */
  currentTree(): ParsedVolume {
    const current = new Map(this.allMirrors.map((mirror) => [mirror.mirrorid, currentMirror(mirror)]));
    const { lvolstruct } = this.#options.spec;
    const live = [...this.snapshots.values()].filter(({ state }) => state === "active");
    const lvolspec = { ...lvolstruct.lvolspec, assoc: live.map(({ node }) => node) };
    return mapMirrors({ ...lvolstruct, lvolspec }, (mirror) => current.get(mirror.lvolid) ?? mirror);
  }

  #newMirror(node: ParsedMirror): Mirror {
    const { spec, manager, log, ending } = this.#options;
    return new Mirror({
      node,
      redundancy: spec.lvolstruct.lvolspec.redundancy,
      name: this.#names.array(node.lvolid),
      extents: this.#extents,
      manager,
      config: spec.mdadmConfig,
      log,
      ending,
    });
  }

  #newSnapshot(node: ParsedSnapshot): Snapshot {
    const mirrors = linearOf(node).components.map((mirror) => this.#newMirror(mirror));
    const snapshot: Snapshot = { node, mirrors, state: "creating" };
    this.snapshots.set(node.lvolid, snapshot);
    return snapshot;
  }

  async #startMirrors(mirrors: readonly Mirror[]): Promise<void> {
    const members = mirrors.flatMap((mirror) => mirror.members.map(({ node }) => node));
    const unreachable = await this.#extents.open(members);
    const examined = await this.#examine(mirrors, unreachable);
    await inParallel(mirrors, STARTED_AT_ONCE, (mirror) => mirror.start({ unreachable, examined }));
  }

  /** Reads what lies on the members of arrays that do not run yet. */
  async #examine(mirrors: readonly Mirror[], unreachable: ReadonlySet<number>) {
    const idle = await Promise.all(
      mirrors.map(async (mirror) => ((await readArray(mirror.name)) === undefined ? [mirror] : [])),
    );
    const devices = idle
      .flat()
      .flatMap((mirror) => mirror.members.map(({ dextid }) => dextid))
      .filter((dextid) => !unreachable.has(dextid))
      .map((dextid) => this.#extents.nameOf(dextid));
    return examine(devices, EXAMINE_MS);
  }

  /** What keeps a snapshot from being had does not keep its volume from it: it is given up. */
  async #resumeSnapshot(node: ParsedSnapshot): Promise<void> {
    const { lvolid } = node;
    const { manager, log, spec } = this.#options;
    const snapshot = this.#newSnapshot(node);
    try {
      await this.#startMirrors(snapshot.mirrors);
      await this.#devices.ensureLinear(lvolid, piecesOf(snapshot.mirrors));
      await this.#devices.openSnapshot(lvolid);
      if (!spec.maintenance) await this.#devices.link(lvolid, node.lvolspec.lvolname);
      snapshot.state = "active";
    } catch (error) {
      log.error(`${showVolume(lvolid)} is lost: ${describeError(error)}`);
      await manager.reportSnapshotFailure(lvolid, describeError(error));
      snapshot.state = "invalid";
      await this.deleteSnapshot(lvolid).catch((failure: unknown) => log.warn(describeError(failure)));
    }
  }

  async #look(count: number): Promise<void> {
    const reaches = await this.#extents.look(true);
    for (const mirror of this.allMirrors)
      for (const member of [...mirror.members]) this.#judge(mirror, member, reaches.get(member.dextid));
    await Promise.all(this.allMirrors.map((mirror) => mirror.check()));
    if (count % Watch.turns !== 0) return;
    await this.#extents.reconnect();
    await this.#flushWhatIsNew();
  }

  #judge(mirror: Mirror, member: Member, reach: { isUp: boolean; isConnected: boolean } | undefined): void {
    const { dextid } = member;
    if (reach === undefined || (reach.isUp && reach.isConnected)) {
      this.#silent.delete(dextid);
      return;
    }
    const turns = (this.#silent.get(dextid) ?? 0) + 1;
    this.#silent.set(dextid, turns);
    if (turns < Watch.turns || member.isPatient) return;
    this.#silent.delete(dextid);
    member.wasUnreachable = !reach.isConnected;
    void mirror.memberFailed(member, reach.isConnected ? "fails requests" : "can't be reached");
  }

  /**
   * Makes durable what was written since the last time. md clears the bits of its bitmap without a flush; they are kept for
   * longer than it takes until this was done, or the member that holds it up has failed.
   */
  async #flushWhatIsNew(): Promise<void> {
    if (this.#isFlushing) return;
    let isNew = false;
    for (const { name } of this.mirrors) {
      const sectors = await readWritten(name);
      if (this.#written.get(name) !== sectors) isNew = true;
      this.#written.set(name, sectors);
    }
    if (!isNew) return;
    this.#isFlushing = true;
    // Not waited for: it may wait for a member, and who watches the members must not wait for that.
    void this.#flush(LONG_MS)
      .catch((error: unknown) => this.#options.log.warn(`a flush failed: ${describeError(error)}`))
      .finally(() => {
        this.#isFlushing = false;
      });
  }

  async #flush(timeoutMs: Milliseconds): Promise<void> {
    const linear = this.#names.linear(this.#names.lvolid);
    await runProgram("sync", [devicePath(linear)], { timeoutMs });
  }
}

function piecesOf(mirrors: readonly Mirror[]) {
  return mirrors.map(({ name, node }) => ({ name, gigabytes: node.capacity }));
}

function currentMirror({ node, members, version }: Mirror): ParsedMirror {
  const components = members.map(
    (member): ParsedExtent => ({
      ...member.node,
      mirror_status: member.state === "insync" ? MemberStatus.INSYNC : MemberStatus.SPARE,
    }),
  );
  return { ...node, lvolspec: { version }, components };
}
