import { NbdErrno } from "../../common/nbd/protocol.js";
import type { Member } from "./member.js";
import type { RecordContent } from "./member-record.js";
import { WriteIntent } from "./write-intent.js";

/** Told when the records hold what was marked; `errno` if the last member's disk can't write its record. */
export type RecordsDone = (errno: number) => void;

/** What the records need of their mirror. */
export interface RecordHolders {
  /** The members whose records must hold every bit: the ones that acknowledgements depend on. */
  readonly recordHolders: readonly Member[];
  /** Every member is INSYNC. */
  readonly isWhole: boolean;
  /** Calls back when no member's failure is still to be recorded by the manager; at once if none is. */
  whenReported(callback: () => void): void;
  memberFailed(member: Member, errno: number): void;
}

/**
 * The records of a mirror's members, and what they say: data generation, `since` and the write-intent bitmap. Whatever
 * changes while records are being written goes into the next round, all of it into one write for each member.
 */
export class MirrorRecords {
  readonly intent: WriteIntent;
  dataGeneration = 0;
  since = 0;
  #next: RecordsDone[] = [];
  #isRunning = false;
  #isOpen = false;
  #cleared: Uint8Array[] = [];

  constructor(
    regions: number,
    private readonly mirror: RecordHolders,
  ) {
    this.intent = new WriteIntent(regions);
  }

  get content(): RecordContent {
    return { dataGeneration: this.dataGeneration, since: this.since, bits: this.intent.marked };
  }

  /** It is known what the records say: from now on they may be written. */
  open(): void {
    this.intent.confirm(this.intent.marked);
    this.#isOpen = true;
    this.#start();
  }

  /** Every member is INSYNC and flushed: takes bits that no write needs any more, with the next round. */
  clear(bits: Uint8Array): void {
    this.#cleared.push(bits);
  }

  /** Makes what is marked now durable on all holders. Requests of one event-loop turn share a round. */
  commit(done: RecordsDone): void {
    this.#next.push(done);
    this.#start();
  }

  #start(): void {
    if (this.#isRunning || !this.#isOpen || this.#next.length === 0) return;
    this.#isRunning = true;
    queueMicrotask(() => this.#round());
  }

  /** A member that is failing may turn out to be the last good one, which then needs the bits too: it is waited for. */
  #round(): void {
    this.mirror.whenReported(() => {
      const waiting = this.#next;
      this.#next = [];
      this.#takeCleared();
      const content = { ...this.content, bits: this.intent.marked.slice() };
      const holders = this.mirror.recordHolders;
      let left = Math.max(1, holders.length);
      let failure = 0;
      const one: RecordsDone = (errno) => {
        if (errno !== 0) failure = errno;
        left -= 1;
        if (left > 0) return;
        if (failure === 0) this.intent.confirm(content.bits);
        if (this.#next.length > 0) queueMicrotask(() => this.#round());
        else this.#isRunning = false;
        for (const done of waiting) done(failure);
      };
      if (holders.length === 0) one(NbdErrno.EIO);
      for (const member of [...holders]) this.#write(member, content, one);
    });
  }

  /** Not while a round is under way, which would make durable again what was just cleared. */
  #takeCleared(): void {
    const cleared = this.#cleared;
    this.#cleared = [];
    if (cleared.length === 0 || !this.mirror.isWhole) return;
    for (const bits of cleared) this.intent.endSweep(bits);
    this.since = this.dataGeneration;
  }

  #write(member: Member, content: RecordContent, done: RecordsDone): void {
    member.writeRecord(content, (errno) => {
      if (errno === 0) {
        done(0);
        return;
      }
      this.mirror.memberFailed(member, errno);
      this.mirror.whenReported(() => {
        if (member.state !== "insync") done(0);
        else if (errno < 0) this.#write(member, content, done);
        else done(errno);
      });
    });
  }
}
