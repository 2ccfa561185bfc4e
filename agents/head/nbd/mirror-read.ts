import { MIB } from "../../../shared/units.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import type { DiskDone } from "./disk-request.js";
import type { Member } from "./member.js";
import type { Mirror } from "./mirror.js";

/** Reads in the same stripe go to the same member, so that each disk sees sequences and the load spreads. */
const STRIPE_BYTES = MIB;

/** One read of a mirror. It tries every INSYNC member whose disk is there before it fails, and waits while none is. */
export class MirrorRead {
  #failed: Member[] | undefined;
  #errno = 0;

  constructor(
    private readonly mirror: Mirror,
    private readonly offset: number,
    private readonly length: number,
    private readonly done: DiskDone,
  ) {}

  start(): void {
    if (this.mirror.errno !== 0) {
      this.done(NbdErrno.EIO);
      return;
    }
    const member = this.#choose();
    if (member !== undefined) this.#read(member);
    else if (this.#mayComeBack()) this.mirror.stall(this);
    else this.done(this.#errno === 0 ? NbdErrno.EIO : this.#errno);
  }

  #read(member: Member): void {
    member.read(this.offset, this.length, (errno, data) => {
      if (errno === 0) {
        this.done(0, data);
        return;
      }
      // An unreachable disk is no reason to drop the member: it has missed nothing (rule R2).
      if (errno > 0) {
        this.#failed ??= [];
        this.#failed.push(member);
        this.#errno = errno;
        this.mirror.memberFailed(member, errno);
      }
      this.start();
    });
  }

  /** A member that is being reported may turn out to be the last good one, which is kept. */
  #mayComeBack(): boolean {
    const { readers, failing } = this.mirror;
    return [...readers, ...failing].some((member) => !this.#hasFailed(member));
  }

  #choose(): Member | undefined {
    const { readers } = this.mirror;
    const count = readers.length;
    const first = Math.floor(this.offset / STRIPE_BYTES);
    for (let turn = 0; turn < count; turn += 1) {
      const member = readers[(first + turn) % count] as Member; // below count, so there
      if (member.disk.isUp && !this.#hasFailed(member)) return member;
    }
    return undefined;
  }

  #hasFailed(member: Member): boolean {
    return this.#failed?.includes(member) === true;
  }
}
