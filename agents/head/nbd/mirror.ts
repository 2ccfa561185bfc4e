import type { ParsedExtent, ParsedMirror } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import { MemberStatus } from "../../../shared/states.js";
import { GIB } from "../../../shared/units.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import type { ManagerPort } from "../manager-port.js";
import type { DiskConnection } from "./disk-connection.js";
import { DISK_LOST, type DiskCommand, type DiskDone } from "./disk-request.js";
import { Member, type MemberEvents } from "./member.js";
import { regionCount } from "./member-record.js";
import { MirrorRead } from "./mirror-read.js";
import { MirrorRecords, type RecordHolders } from "./mirror-records.js";
import { MirrorWrite } from "./mirror-write.js";
import { RangeLock } from "./range-lock.js";

export interface MirrorOptions {
  readonly lvolid: number;
  readonly node: ParsedMirror;
  readonly manager: ManagerPort;
  /** The one connection to the disk of an extent. */
  readonly diskOf: (node: ParsedExtent) => DiskConnection;
  readonly log: Log;
  /**
   * Only for copy-on-write spaces, whose failures must not be their volume's: told that all requests get EIO from now on, since
   * writes were lost, or a disk refuses the space. A disk that refuses a volume's own mirror has fenced it.
   */
  readonly onBroken?: (why: string) => void;
}

/**
 * The members of a mirror, who of them is used for what, and what happens when one fails.
 *
 * Invariants. A write is acknowledged only when every member that the manager lists as INSYNC has it: all of `writers`,
 * and those in `failing` have been taken out by the manager (D1, D2). While a failure is not settled – reported,
 * answered, and the new data generation durable on the members that stay – `isHolding` is true and no write is
 * acknowledged. Only `readers` are read.
 */
export class Mirror implements MemberEvents, RecordHolders {
  readonly mirrorid: number;
  /** Size of its data in bytes. */
  readonly size: number;
  readonly lock = new RangeLock();
  readonly records: MirrorRecords;
  readonly members: Member[] = [];
  /** INSYNC members. */
  readers: readonly Member[] = [];
  /** Members that every write goes to. */
  writers: readonly Member[] = [];
  /** The writers whose records must hold every bit. */
  recordHolders: readonly Member[] = [];
  /** Members whose failure the manager has not recorded yet. */
  readonly failing: Member[] = [];
  /** Membership version, as far as it is known here. */
  version: number;
  /** Not 0: the last good copy lost writes that it had answered, or can't keep its record; all requests get EIO. */
  errno = 0;
  /** Nothing is sent or reported any more. */
  isDiscarded = false;
  readonly #options: MirrorOptions;
  #isReporting = false;
  #discarded: Promise<void> | undefined;
  /** New data generations that are not durable yet. */
  #generations = 0;
  #held: MirrorWrite[] = [];
  #stalled: MirrorRead[] = [];
  #whenReported: (() => void)[] = [];
  #whenSettled: (() => void)[] = [];
  /** Reports of one mirror are made one after the other, since each depends on the version that the last answered. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: MirrorOptions) {
    const { node } = options;
    this.#options = options;
    this.mirrorid = node.lvolid;
    this.size = node.capacity * GIB;
    this.version = node.lvolspec.version;
    this.records = new MirrorRecords(regionCount(node.capacity), this);
    for (const extent of node.components) {
      if (extent.mirror_status === MemberStatus.INSYNC) this.use(this.add(extent), "insync");
      else if (extent.mirror_status === MemberStatus.SPARE) this.add(extent);
    }
  }

  get node(): ParsedMirror {
    return this.#options.node;
  }
  get manager(): ManagerPort {
    return this.#options.manager;
  }
  get log(): Log {
    return this.#options.log;
  }

  /** No write may be acknowledged. */
  get isHolding(): boolean {
    return this.failing.length > 0 || this.#generations > 0;
  }

  /** Every member is INSYNC. */
  get isWhole(): boolean {
    return !this.isHolding && this.readers.length === this.members.length;
  }

  write(
    command: DiskCommand,
    offset: number,
    length: number,
    fua: boolean,
    payload: readonly Buffer[],
    done: (errno: number) => void,
  ): void {
    if (this.errno !== 0) done(NbdErrno.EIO);
    else this.lock.acquire(new MirrorWrite(this, command, offset, length, fua, payload, done));
  }

  read(offset: number, length: number, done: DiskDone): void {
    new MirrorRead(this, offset, length, done).start();
  }

  /** Makes an extent a member, not used yet. */
  add(node: ParsedExtent): Member {
    const owner = {
      lvolid: this.#options.lvolid,
      mirrorid: this.mirrorid,
      dextid: node.lvolid,
      extentGeneration: node.lvolspec.generation,
    };
    const member = new Member(node, owner, this.#options.diskOf(node), this);
    this.members.push(member);
    return member;
  }

  /** Puts a member into a state in which its disk is needed. */
  use(member: Member, state: "insync" | "joining" | "copying" | "preparing"): void {
    member.state = state;
    member.disk.acquire(member);
    this.#recompute();
  }

  /** The copying to a member has ended without success. One that acknowledgements depend on is reported first. */
  abandon(member: Member): void {
    if (member.state === "joining") this.memberFailed(member, DISK_LOST);
    else if (member.state === "copying" || member.state === "preparing") {
      this.#leave(member);
      this.#recompute();
    }
  }

  /** Forgets a member that is out. */
  forget(member: Member): void {
    const place = this.members.indexOf(member);
    if (member.state === "out" && place >= 0) this.members.splice(place, 1);
  }

  /** A member has the content of its mirror and is no more the only one, nor is any other. */
  joined(member: Member, version: number): void {
    this.version = Math.max(this.version, version);
    for (const other of this.members) other.patient = false;
    this.use(member, "insync");
  }

  /** A request on a member failed: DISK_LOST, or the errno that its disk answered. */
  memberFailed(member: Member, errno: number): void {
    if (!member.inUse || (member.patient && !member.lostWrites)) return;
    const why = errno === DISK_LOST ? "can't be reached" : `answered errno ${errno}`;
    this.log.warn(
      `mirror ${this.mirrorid}: ${member.state} member ${member.dextid} on ${member.disk.name} ${why}`,
    );
    const hasAcknowledged = member.state === "insync" || member.state === "joining";
    if (hasAcknowledged) {
      member.state = "failing";
      this.failing.push(member);
      member.disk.drop(member);
    } else {
      this.#leave(member);
    }
    this.#recompute();
    void this.#reportFailures();
  }

  /** Stops using a member. While it was failing it was still its disk's user, so that a restart of the server is seen. */
  #leave(member: Member): void {
    member.state = "out";
    member.disk.drop(member);
    member.disk.release(member);
    member.left();
  }

  /** A member no longer holds writes that it had answered. */
  writesLost(member: Member): void {
    member.lostWrites = true;
    this.memberFailed(member, DISK_LOST);
  }

  diskUp(): void {
    const stalled = this.#stalled;
    this.#stalled = [];
    for (const read of stalled) read.start();
  }

  /** Keeps a read until a member can answer it. */
  stall(read: MirrorRead): void {
    this.#stalled.push(read);
  }

  /** Keeps a write until no failure is unsettled. */
  hold(write: MirrorWrite): void {
    this.#held.push(write);
  }

  whenReported(callback: () => void): void {
    if (this.failing.length === 0) callback();
    else this.#whenReported.push(callback);
  }

  /** Resolves when no failure is unsettled. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isHolding) this.#whenSettled.push(resolve);
      else resolve();
    });
  }

  /** Runs one exchange with the manager about this mirror, after those before it. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /**
   * The members changed without this mirror's head seeing all their writes: a new data generation, durable on all
   * members in use, tells those that were away from those that were not.
   */
  renewGeneration(version: number): void {
    this.records.dataGeneration = version;
    this.#generations += 1;
    this.records.commit((errno) => {
      if (errno !== 0) this.#break(`the records of mirror ${this.mirrorid} can't be written`);
      this.#generations -= 1;
      this.#release();
    });
  }

  /**
   * Ends it for good: everything that is asked gets EIO, nothing is sent or reported any more. Its members are released when
   * nothing that was sent to them can land any more; then this resolves.
   */
  discard(): Promise<void> {
    this.#discarded ??= this.#discard();
    return this.#discarded;
  }

  async #discard(): Promise<void> {
    this.isDiscarded = true;
    this.errno = NbdErrno.EIO;
    const used = this.members.filter(({ state }) => state !== "out");
    for (const member of used) {
      member.state = "out";
      member.disk.drop(member);
      member.left();
    }
    this.failing.length = 0;
    this.#recompute();
    this.#tellReported();
    this.#release();
    await Promise.all(used.map((member) => member.disk.whenDrained(member)));
    for (const member of used) member.disk.release(member);
  }

  refused(why: string): boolean {
    if (this.#options.onBroken === undefined) return false;
    void this.discard();
    this.#options.onBroken(why);
    return true;
  }

  #break(why: string): void {
    if (this.errno !== 0) return;
    this.errno = NbdErrno.EIO;
    this.#options.onBroken?.(why);
  }

  async #reportFailures(): Promise<void> {
    if (this.#isReporting) return;
    this.#isReporting = true;
    let dropped = false;
    for (let member = this.failing[0]; member !== undefined; member = this.failing[0]) {
      const { dextid } = member;
      const outcome = await this.inTurn(() =>
        this.manager.reportFailure(this.mirrorid, dextid, this.version),
      );
      if (this.isDiscarded) break;
      this.failing.shift();
      if (outcome.kept) {
        this.#keep(member);
      } else {
        this.version = Math.max(this.version, outcome.version);
        this.#leave(member);
        dropped = true;
      }
    }
    this.#isReporting = false;
    this.#recompute();
    if (dropped) this.renewGeneration(this.version);
    this.#tellReported();
    this.#release();
  }

  #tellReported(): void {
    const callbacks = this.#whenReported;
    this.#whenReported = [];
    for (const callback of callbacks) callback();
  }

  /** The manager keeps the last INSYNC member: its requests wait for it from now on. */
  #keep(member: Member): void {
    this.log.error(`mirror ${this.mirrorid}: member ${member.dextid} is the last good one and is kept`);
    member.patient = true;
    if (member.lostWrites) this.#break(`the last good copy of mirror ${this.mirrorid} lost writes`);
    this.use(member, "insync");
  }

  #release(): void {
    if (this.isHolding) return;
    const held = this.#held;
    this.#held = [];
    for (const write of held) write.settle();
    const settled = this.#whenSettled;
    this.#whenSettled = [];
    for (const resolve of settled) resolve();
  }

  #recompute(): void {
    const inState = (...states: string[]) => this.members.filter(({ state }) => states.includes(state));
    this.readers = inState("insync");
    this.writers = inState("insync", "joining", "copying");
    this.recordHolders = inState("insync", "joining");
    this.diskUp();
  }
}
