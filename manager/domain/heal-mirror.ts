import { MemberStatus } from "../../shared/states.js";
import { isGood, type Member } from "./member-rules.js";

/**
 * What a mirror needs, derived from its state alone, so that it does not matter which event was missed.
 */
export interface HealingMember extends Member {
  /** Its server and its disk can be asked. */
  readonly reachable: boolean;
  /**
   * `silent`: its server has been silent for `replace_after`, or its resync failed three times while its server
   * answered. `away`: its server was declared lost. Both may be good again before another takes their place. `failed`: a
   * person or monitor declared the extent failed. `gone`: its disk was declared failed, so nothing of it can be used
   * any more.
   */
  readonly lost: "no" | "silent" | "away" | "failed" | "gone";
  /** Its resync runs: what its head was told to stop using for it was decided before. */
  readonly resyncing: boolean;
}

export interface HealingMirror {
  readonly redundancy: number;
  /** A head serves the volume: only that head can say that a member is out of use (R2). */
  readonly bound: boolean;
  /** The volume was never attached: its members hold nothing. */
  readonly untouched: boolean;
  readonly members: readonly HealingMember[];
}

export interface HealingPlan {
  /** Members that hold nothing, on lost disks: give up, and place another instead. */
  readonly forget: readonly number[];
  /** Out of the mirror: it is whole without them. */
  readonly release: readonly number[];
  /** INSYNC members of a detached volume that were declared failed: no content to count on any more. */
  readonly drop: readonly number[];
  /** SPARE members on failed disks: FAULTY. */
  readonly giveUp: readonly number[];
  /** SPARE members that may come back: FAULTY once every replacement has a place. */
  readonly giveUpIfPlaced: readonly number[];
  /** How many members the mirror is short of, counting those that are to be resynced. */
  readonly missing: number;
  /** New members to place now. */
  readonly place: number;
  /** Members that can be brought in sync now, or one that is, so that its head stops using a copy that is lost. */
  readonly resync: readonly number[];
}

export function planHealing(mirror: HealingMirror): HealingPlan {
  const { members, redundancy } = mirror;
  const ids = (list: readonly HealingMember[]): number[] => list.map((member) => member.dextid);
  const isLost = (member: HealingMember): boolean => member.lost !== "no";
  const of = (status: MemberStatus) => members.filter((member) => member.status === status);

  const forget = of(MemberStatus.ALLOCATED).filter(isLost);
  const insync = of(MemberStatus.INSYNC);
  const whole = insync.filter((member) => !isLost(member)).length >= redundancy;

  // All of them stay as long as there is no sound one (D3): a disk that was reported by mistake still has its copy, and a
  // server that is away may never come back. In a detached volume a copy whose server is merely away misses nothing
  // meanwhile, and stays as well (R2).
  const mayDrop = !mirror.bound && !insync.every(isLost);
  const drop = mayDrop ? insync.filter(({ lost }) => lost === "failed" || lost === "gone") : [];

  const hasSource = insync.some((member) => member.reachable);
  const spares = of(MemberStatus.SPARE);
  const resync = hasSource ? spares.filter((member) => member.reachable && !isLost(member)) : [];
  const staying = members.filter(
    (member) => !isLost(member) && (isGood(member) || member.status === MemberStatus.SPARE),
  ).length;
  // Another copy is needed beside a lost last one, too: it is copied from there if it can still be read. Only an
  // attached volume's head can fill it.
  const missing = Math.max(0, redundancy - staying);

  return {
    forget: ids(forget),
    release: whole ? ids([...of(MemberStatus.FAULTY), ...spares.filter(isLost)]) : [],
    drop: ids(drop),
    giveUp: ids(spares.filter((member) => member.lost === "gone")),
    giveUpIfPlaced: ids(spares.filter((member) => isLost(member) && member.lost !== "gone")),
    missing,
    place: mirror.untouched || (mirror.bound && insync.length > 0) ? missing : 0,
    resync: mirror.bound ? ids([...resync, ...letGo(insync, resync)]) : [],
  };
}

/**
 * A sound copy in whose place its head is to stop using one that was declared lost, if no resync that is still to begin
 * does so: a replacement may never be found, and a lost copy is no redundancy meanwhile.
 */
function letGo(insync: readonly HealingMember[], resync: readonly HealingMember[]): HealingMember[] {
  const leaving = insync.filter(({ lost }) => lost !== "no" && lost !== "silent");
  const toCome = resync.filter(({ resyncing }) => !resyncing);
  if (leaving.length <= toCome.length) return [];
  return insync.filter(({ lost, reachable }) => lost === "no" && reachable).slice(0, 1);
}
