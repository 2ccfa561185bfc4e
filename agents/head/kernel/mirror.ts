import { describeError, VasError } from "../../../shared/errors.js";
import { showExtent, showMirror } from "../../../shared/ids.js";
import { parseUnitPath } from "../../../shared/iscsi-names.js";
import type { ParsedExtent, ParsedMirror } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import { MemberStatus } from "../../../shared/states.js";
import type { Milliseconds } from "../../../shared/units.js";
import { InTurn } from "../../common/in-turn.js";
import { pause } from "../../common/pause.js";
import { runProgram } from "../../common/run-program.js";
import type { ManagerPort } from "../manager-port.js";
import type { AskedReplacement } from "../volume-control.js";
import type { Extents } from "./extents.js";
import {
  type ArrayMember,
  type ArrayState,
  addMember,
  allowWrites,
  arrayPath,
  arrayUuid,
  assembleArray,
  createArray,
  type Examined,
  readArray,
  removeMember,
  setBitmapDelay,
  setPlaces,
  setSyncRate,
  stopArray,
  tellMember,
} from "./md.js";
import { extentOfName } from "./names.js";

/**
 * What a member is used for. `insync`: the manager counts on it. `copying`: md copies to it. `joining`: it has all, and the manager
 * is being told. `failing`: it can't be reached, and the manager is being told; until it has recorded that, what is written
 * waits. `out`: not used.
 */
export type MemberState = "insync" | "copying" | "joining" | "failing" | "out";

export interface Member {
  readonly node: ParsedExtent;
  readonly dextid: number;
  state: MemberState;
  /** It is the last good copy, although it can't be reached: it is waited for. */
  isPatient: boolean;
  /** It was left because no path led to it, and for nothing else. */
  wasUnreachable: boolean;
  /** Ends the copying to it. */
  giveUp: (error: VasError) => void;
}

export interface MirrorOptions {
  readonly node: ParsedMirror;
  /** Members that it should have. */
  readonly redundancy: number;
  /** Name of its array. */
  readonly name: string;
  readonly extents: Extents;
  readonly manager: ManagerPort;
  /** Path of mdadm's configuration. */
  readonly config: string;
  readonly log: Log;
  /** Aborted when the process ends. */
  readonly ending: AbortSignal;
}

/** What is known of a mirror's extents before it starts. */
export interface Findings {
  /** Extents that have no device, since they can't be reached. */
  readonly unreachable: ReadonlySet<number>;
  /** What lies on the others, by the names of their devices. */
  readonly examined: ReadonlyMap<string, Examined>;
}

const POLL_MS: Milliseconds = 500;
/** In KiB a second. With md's own, 1,000, a terabyte of a mirror in use would have one copy too few for eleven days. */
const SYNC_RATE = 30_000;
const FLUSH_MS: Milliseconds = 120_000;
/** See `setBitmapDelay`: three times what lies between two flushes. */
export const BITMAP_DELAY_S = 30;

/**
 * A mirror: an md array of the extents that the manager lists as INSYNC, and of those that are being brought in sync.
 *
 * Invariant: a write that a member missed is acknowledged only after the manager has recorded that the member is not INSYNC
 * any more (D2). It waits in the multipath device of the member until `letFail`, which is called after the manager's word alone.
 */
export class Mirror {
  readonly mirrorid: number;
  readonly members: Member[] = [];
  /** Membership version, as far as it is known here. */
  version: number;
  readonly #options: MirrorOptions;
  readonly #reports = new InTurn();
  readonly #joins = new Map<number, Promise<number>>();
  readonly #progress = new Map<number, number>();
  /** Servers of members that were dropped, as they were called then: under that name they still hold what they had. */
  readonly #dropped = new Map<number, string>();

  constructor(options: MirrorOptions) {
    const { node } = options;
    this.#options = options;
    this.mirrorid = node.lvolid;
    this.version = node.lvolspec.version;
    for (const extent of node.components)
      if (extent.mirror_status === MemberStatus.INSYNC) this.members.push(newMember(extent, "insync"));
  }

  get node(): ParsedMirror {
    return this.#options.node;
  }

  get name(): string {
    return this.#options.name;
  }

  /** Copying under way: percent by extent. */
  get resyncs(): ReadonlyMap<number, number> {
    return this.#progress;
  }

  /**
   * Starts the array, or goes on with one that runs. Members that it can't be started with are reported first.
   *
   * @throws VasError EHOSTDOWN if no good copy can be reached, EIO if none carries the mirror's content
   */
  async start(findings: Findings): Promise<void> {
    const running = await readArray(this.name);
    if (running === undefined) await this.#assemble(findings);
    const array = running ?? (await readArray(this.name));
    if (array === undefined) throw new VasError("EIO", `md did not start ${showMirror(this.mirrorid)}`);
    const settling = this.#settle();
    // One that runs may be waiting for a member, and listens when that was reported: which is up to us.
    if (running === undefined) await settling;
    else void settling.catch((error: unknown) => this.#options.log.warn(describeError(error)));
    // Who is in it and is not to be: an earlier process of ours was about to take it out, or had not finished with it.
    const known = new Set(this.members.map(({ dextid }) => this.deviceOf(dextid)));
    for (const stranger of array.members.filter(({ device }) => !known.has(device))) {
      // md hears nothing while it waits for it.
      const dextid = extentOfName(stranger.device);
      if (dextid !== undefined) await this.#options.extents.letFail(dextid).catch(() => undefined);
      await this.#takeOut(stranger);
    }
    for (const member of this.members)
      if (!isInSync(findMember(array, this.deviceOf(member.dextid))))
        await this.#mustLeave(member, "is not in its array");
  }

  async #settle(): Promise<void> {
    await allowWrites(this.name);
    await setBitmapDelay(this.name, BITMAP_DELAY_S);
    await setSyncRate(this.name, SYNC_RATE);
  }

  async #assemble({ unreachable, examined }: Findings): Promise<void> {
    const uuid = arrayUuid(this.mirrorid);
    const here = this.members.filter(({ dextid }) => !unreachable.has(dextid));
    if (here.length === 0) {
      const sentence = `no good copy of ${showMirror(this.mirrorid)} can be reached`;
      throw new VasError("EHOSTDOWN", sentence);
    }
    const found = here.map((member) => ({ member, sign: examined.get(this.deviceOf(member.dextid)) }));
    const events = found.map(({ sign }) => (sign?.uuid === uuid ? sign.events : -1));
    const newest = Math.max(...events);
    // Nothing was ever written: the array was never started.
    const isNew = newest < 0 || (newest === 0 && events.includes(-1));
    // Members of an array that ended without notice may be one event apart. Further behind is who missed something.
    const good = isNew ? found : found.filter((_, at) => (events[at] ?? -1) >= newest - 1);
    for (const { member } of found.filter((each) => !good.includes(each)))
      await this.#mustLeave(member, "is behind the others");
    for (const member of this.members.filter(({ dextid }) => unreachable.has(dextid)))
      await this.#mustLeave(member, "can't be reached");
    const devices = good.map(({ member }) => this.deviceOf(member.dextid));
    const { name, redundancy, node, config } = this.#options;
    if (!isNew) {
      await assembleArray(name, devices);
      return;
    }
    const places = Math.max(redundancy, devices.length);
    const array = { name, mirrorid: this.mirrorid, gigabytes: node.capacity, places, members: devices };
    await createArray(array, config);
  }

  /** At a start: a member that can't be used is no more INSYNC before anything is served. @throws VasError EHOSTDOWN */
  async #mustLeave(member: Member, why: string): Promise<void> {
    await this.memberFailed(member, why);
    if (member.state === "out") return;
    const sentence = `${showExtent(member.dextid)} ${why}, and it is the last good copy of ${showMirror(this.mirrorid)}`;
    throw new VasError("EHOSTDOWN", sentence);
  }

  /** A member can't be used. Resolves when the manager has answered and that was carried out. */
  async memberFailed(member: Member, why: string): Promise<void> {
    if (member.state === "copying")
      member.giveUp(new VasError("EHOSTDOWN", `${showExtent(member.dextid)} ${why}`));
    if (member.state !== "insync" && member.state !== "joining") return;
    const { log } = this.#options;
    log.warn(`${showMirror(this.mirrorid)}: ${member.state} member ${showExtent(member.dextid)} ${why}`);
    member.state = "failing";
    // Not waited for: md may itself be waiting for the member, and hears nothing until the manager has answered.
    void this.#readElsewhere(member, true);
    await this.#reports.run(() => this.#report(member));
  }

  async #report(member: Member): Promise<void> {
    const { manager, log } = this.#options;
    const answer = await manager.reportFailure(this.mirrorid, member.dextid, this.version);
    if (answer.kept) {
      log.warn(
        `${showExtent(member.dextid)} is the last good copy of ${showMirror(this.mirrorid)}: it is waited for`,
      );
      member.state = "insync";
      member.isPatient = true;
      void this.#readElsewhere(member, false);
      return;
    }
    this.version = Math.max(this.version, answer.version);
    await this.#drop(member);
  }

  /** The manager does not count on it any more: what waits for it may fail, and goes on without it. */
  async #drop(member: Member): Promise<void> {
    const { extents, log, redundancy } = this.#options;
    const { dextid } = member;
    member.state = "out";
    this.members.splice(this.members.indexOf(member), 1);
    // A disk that failed requests may have lost what it had answered (rule R5).
    if (member.wasUnreachable) this.#dropped.set(dextid, serverOf(member.node));
    else this.#dropped.delete(dextid);
    try {
      const device = this.deviceOf(dextid);
      await extents.letFail(dextid).catch(() => undefined); // one that could not be reached has no device
      const array = await readArray(this.name);
      const found = array && findMember(array, device);
      if (found !== undefined) await this.#takeOut(found);
      await extents.close(dextid);
      if (array !== undefined && array.places > redundancy)
        await setPlaces(
          this.name,
          Math.max(redundancy, array.members.length - (found === undefined ? 0 : 1)),
        );
    } catch (error) {
      // It is faulty to md, and holds nobody up. What is left of it goes when the volume is detached.
      log.warn(`${showExtent(dextid)} is not out of ${this.name} altogether: ${describeError(error)}`);
    }
  }

  async #takeOut(found: ArrayMember): Promise<void> {
    if (!found.words.has("faulty")) await tellMember(this.name, found, "faulty");
    await removeMember(this.name, found);
  }

  /** Keeps md from reading a member as long as there is another. */
  async #readElsewhere({ dextid }: Member, yes: boolean): Promise<void> {
    try {
      const found = findMember(await this.#read(), this.deviceOf(dextid));
      if (found !== undefined) await tellMember(this.name, found, yes ? "writemostly" : "-writemostly");
    } catch (error) {
      this.#options.log.debug({ err: error }, "md could not be told where to read");
    }
  }

  /** What md has dropped without being told to has to be recorded, too. */
  async check(): Promise<void> {
    const array = await readArray(this.name);
    if (array === undefined) return;
    for (const member of this.members.filter(({ state }) => state === "insync"))
      if (!isInSync(findMember(array, this.deviceOf(member.dextid))))
        void this.memberFailed(member, "was dropped by md");
  }

  /**
   * Stops using one member and brings another in sync, if it is not. A repeated call for the same extent waits for the first.
   *
   * @returns the membership version since which `add` is INSYNC at the manager
   * @throws VasError EBUSY if `remove` is the last good copy, EHOSTDOWN if `add` can't be reached, EIO, ENOENT, ECANCELED
   */
  async replace({ version, add, remove }: Omit<AskedReplacement, "mirrorid">): Promise<number> {
    this.version = Math.max(this.version, version);
    if (remove !== null && remove.lvolid !== add.lvolid) await this.#stopUsing(remove.lvolid);
    const running = this.#joins.get(add.lvolid);
    if (running !== undefined) return running;
    const known = this.members.find(({ dextid }) => dextid === add.lvolid);
    if (known?.state === "failing") await this.#reports.run(async () => undefined);
    if (known?.state === "insync") return this.version;
    const join = this.#join(newMember(add, "copying")).finally(() => this.#joins.delete(add.lvolid));
    this.#joins.set(add.lvolid, join);
    return join;
  }

  async #stopUsing(dextid: number): Promise<void> {
    const member = this.members.find((candidate) => candidate.dextid === dextid);
    if (member === undefined) return;
    member.giveUp(new VasError("ECANCELED", `${showExtent(dextid)} is to be replaced itself`));
    await this.#joins.get(dextid)?.catch(() => undefined);
    if (!member.isPatient) await this.memberFailed(member, "is not to be used any more");
    if (member.state === "failing") await this.#reports.run(async () => undefined);
    if (this.members.includes(member))
      throw new VasError("EBUSY", `${showExtent(dextid)} is the last good copy of its mirror`);
  }

  async #join(member: Member): Promise<number> {
    const { dextid } = member;
    this.members.push(member);
    const givenUp = new Promise<never>((_, reject) => {
      member.giveUp = reject;
    });
    try {
      await Promise.race([givenUp, this.#copy(member)]);
      return await this.#tell(member);
    } catch (error) {
      if (member.state === "copying" || member.state === "joining")
        await this.#reports.run(() => this.#drop(member));
      if (error instanceof VasError) throw error;
      throw new VasError("EIO", describeError(error), { cause: error });
    } finally {
      this.#progress.delete(dextid);
    }
  }

  async #copy(member: Member): Promise<void> {
    const { extents, log, ending } = this.#options;
    const { dextid, node } = member;
    const device = this.deviceOf(dextid);
    if ((await extents.open([node])).has(dextid))
      throw new VasError("EHOSTDOWN", `${showExtent(dextid)} can't be reached`);
    const before = await this.#read();
    if (findMember(before, device) === undefined) {
      if (before.members.length >= before.places) await setPlaces(this.name, before.members.length + 1);
      const keepsContent = this.#dropped.get(dextid) === serverOf(node);
      log.info(`${showMirror(this.mirrorid)}: copying to ${showExtent(dextid)}`);
      await addMember(this.name, device, keepsContent);
    }
    for (;;) {
      // Nothing below may be done for a member that lacks something.
      if (member.state !== "copying" || ending.aborted)
        throw new VasError("ECANCELED", `the copying to ${showExtent(dextid)} was given up`);
      const array = await this.#read();
      const found = findMember(array, device);
      if (isInSync(found)) break;
      if (found === undefined || found.words.has("faulty"))
        throw new VasError("EIO", `${showExtent(dextid)} failed while it was copied to`);
      if (array.sync !== undefined)
        this.#progress.set(dextid, Math.floor((array.sync.done * 100) / array.sync.total));
      await pause(POLL_MS, ending);
    }
    await this.flush();
  }

  /** What was written to the array is durable on all its members. @throws ProgramError */
  async flush(): Promise<void> {
    await runProgram("sync", [arrayPath(this.name)], { timeoutMs: FLUSH_MS });
  }

  /** Tells the manager that a member has all, until it has recorded it. */
  async #tell(member: Member): Promise<number> {
    const { manager } = this.#options;
    member.state = "joining";
    for (;;) {
      const version = await this.#reports.run(async () => {
        if (member.state !== "joining") throw failedMeanwhile(member);
        const answer = await manager.reportInSync(this.mirrorid, member.dextid, this.version);
        this.version = Math.max(this.version, answer.version);
        if (answer.again) return undefined;
        for (const each of this.members) each.isPatient = false;
        if (member.state === "joining") member.state = "insync";
        return answer.version;
      });
      if (version === undefined) continue;
      if (!isCountedOn(member)) throw failedMeanwhile(member);
      return version;
    }
  }

  /** Takes it down: its array, and the devices of its members. Nothing may have it open. */
  async end(): Promise<void> {
    const { extents } = this.#options;
    for (const member of this.members) {
      member.giveUp(new VasError("ECANCELED", `${showMirror(this.mirrorid)} is not used any more`));
      await extents.letFail(member.dextid).catch(() => undefined);
    }
    await stopArray(this.name);
    for (const { dextid } of this.members) await extents.close(dextid);
  }

  async #read(): Promise<ArrayState> {
    const array = await readArray(this.name);
    if (array === undefined)
      throw new VasError("EAGAIN", `the array of ${showMirror(this.mirrorid)} does not run`);
    return array;
  }

  /** Name of a member's device. */
  deviceOf(dextid: number): string {
    return this.#options.extents.nameOf(dextid);
  }
}

function newMember(node: ParsedExtent, state: MemberState): Member {
  return {
    node,
    dextid: node.lvolid,
    state,
    isPatient: false,
    wasUnreachable: false,
    giveUp: () => undefined,
  };
}

const isCountedOn = ({ state }: Member): boolean => state === "insync";

function failedMeanwhile({ dextid }: Member): VasError {
  return new VasError("EIO", `${showExtent(dextid)} failed while it was copied to`);
}

function findMember({ members }: ArrayState, device: string): ArrayMember | undefined {
  return members.find((member) => member.device === device);
}

function isInSync(member: ArrayMember | undefined): boolean {
  return member?.words.has("in_sync") === true && !member.words.has("faulty");
}

/** What its server is called until it starts again. */
function serverOf({ lvolspec: { iscsi_path } }: ParsedExtent): string {
  const [first = ""] = iscsi_path;
  return parseUnitPath(first).server;
}
