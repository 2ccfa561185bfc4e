import { NbdErrno } from "../../common/nbd/protocol.js";
import { DISK_LOST, type DiskCommand } from "./disk-request.js";
import type { Member } from "./member.js";
import type { Mirror } from "./mirror.js";
import { RangeHolder } from "./range-lock.js";

/** A member that does not have a write, and why: its disk's errno, or DISK_LOST. */
interface Miss {
  readonly member: Member;
  readonly errno: number;
}

/**
 * One write, trim or write of zeroes to a mirror. It waits for overlapping ones, for the bits of its regions, for all
 * members, and, if one of them missed it, for the manager.
 */
export class MirrorWrite extends RangeHolder {
  #pending = 0;
  #missed: Miss[] | undefined;

  constructor(
    private readonly mirror: Mirror,
    private readonly command: DiskCommand,
    offset: number,
    length: number,
    private readonly fua: boolean,
    private readonly payload: readonly Buffer[],
    private readonly done: (errno: number) => void,
  ) {
    super(offset, offset + length);
  }

  override granted(): void {
    const { records } = this.mirror;
    if (records.intent.begin(this.start, this.end - this.start)) this.#send();
    else records.commit((errno) => (errno === 0 ? this.#send() : this.#finish(errno)));
  }

  /** No member's failure is unsettled any more: looks again at what was missed. */
  settle(): void {
    if (this.mirror.isHolding) {
      this.mirror.hold(this);
      return;
    }
    const missed = this.#missed;
    if (missed === undefined) {
      this.#finish(0);
      return;
    }
    this.#missed = undefined;
    let failure = 0;
    this.#pending = 1;
    for (const { member, errno } of missed) {
      // Dropped, as the manager has recorded. What it lacks is in the bitmap.
      if (member.state !== "insync") continue;
      if (errno !== DISK_LOST) failure = errno;
      else if (this.mirror.errno === 0) this.#sendTo(member);
    }
    if (failure !== 0) {
      // Requests that were just sent again end by themselves: the range stays locked until then.
      this.#failure = failure;
    }
    this.#answered();
  }

  #failure = 0;

  #send(): void {
    this.#pending = 1;
    for (const member of this.mirror.writers) this.#sendTo(member);
    for (const member of this.mirror.failing) this.#miss(member, DISK_LOST);
    this.#answered();
  }

  #sendTo(member: Member): void {
    this.#pending += 1;
    member.write(this.command, this.start, this.end - this.start, this.fua, this.payload, (errno) => {
      if (errno !== 0) {
        this.#miss(member, errno);
        this.mirror.memberFailed(member, errno);
      }
      this.#answered();
    });
  }

  #miss(member: Member, errno: number): void {
    this.#missed ??= [];
    this.#missed.push({ member, errno });
  }

  #answered(): void {
    this.#pending -= 1;
    if (this.#pending > 0) return;
    if (this.#failure !== 0) this.#finish(this.#failure);
    else this.settle();
  }

  #finish(errno: number): void {
    const { mirror } = this;
    mirror.records.intent.end(this.start, this.end - this.start);
    mirror.lock.release(this);
    this.done(mirror.errno !== 0 ? NbdErrno.EIO : errno);
  }
}
