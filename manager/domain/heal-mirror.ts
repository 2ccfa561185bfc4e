import { MemberStatus } from "../../shared/states.js";
import { surplusMembers } from "./evacuation-rules.js";
import { isGood, type Member } from "./member-rules.js";

/**
 * What a mirror needs, derived from its state alone, so that it does not matter which event was missed.
 */
export interface HealingMember extends Member {
  /** Its server and its disk can be asked. */
  readonly reachable: boolean;
  /** It may be read: a disk that was declared failed may still answer, and the last good copy on it is to be saved. */
  readonly readable: boolean;
  /**
   * `silent`: its server has been silent for `replace_after`, or its resync failed three times while its server
   * answered. `away`: its server was declared lost. Both may be good again before another takes their place. `failed`: a
   * person or monitor declared the extent failed. `gone`: its disk was declared failed, so nothing of it can be used
   * any more.
   */
  readonly lost: "no" | "silent" | "away" | "failed" | "gone";
  /** Its resync runs: what its head was told to stop using for it was decided before. */
  readonly resyncing: boolean;
  /** A person wants it elsewhere: a full member until another has taken its place. */
  readonly evacuating: boolean;
}

export interface HealingMirror {
  readonly redundancy: number;
  /** A head has the volume, for a user or for maintenance: only it can say that a member is out of use (R2). */
  readonly bound: boolean;
  /** The volume was never attached: its members hold nothing. */
  readonly untouched: boolean;
  readonly members: readonly HealingMember[];
}

export interface HealingPlan {
  /** Members that hold nothing, on disks that are lost or being evacuated: give up, and place another instead. */
  readonly forget: readonly number[];
  /** Out of the mirror: it is whole without them. */
  readonly release: readonly number[];
  /** INSYNC members of a detached volume that were declared failed, or that it can do without: out of use. */
  readonly drop: readonly number[];
  /** SPARE members on failed disks: FAULTY. */
  readonly giveUp: readonly number[];
  /** SPARE members that may come back, or are not needed: FAULTY once every replacement has a place. */
  readonly giveUpIfPlaced: readonly number[];
  /** What is given up first where there is no room for another member: at most one. */
  readonly inTheWay: readonly number[];
  /** How many members the mirror is short of, counting those that are to be resynced. */
  readonly missing: number;
  /** New members to place now. */
  readonly place: number;
  /**
   * Members that a head can bring in sync now, or one that is, so that its head stops using a copy that is lost, or not needed.
   * A volume that is detached needs a head for that (R15).
   */
  readonly resync: readonly number[];
}

export function planHealing(mirror: HealingMirror): HealingPlan {
  const { members, redundancy } = mirror;
  const ids = (list: readonly HealingMember[]): number[] => list.map((member) => member.dextid);
  const isLost = (member: HealingMember): boolean => member.lost !== "no";
  const of = (status: MemberStatus) => members.filter((member) => member.status === status);

  const allocated = of(MemberStatus.ALLOCATED);
  const isLeaving = (member: HealingMember): boolean => member.evacuating && !isLost(member);
  const forget = [...allocated.filter(isLost), ...allocated.filter(isLeaving)];
  const insync = of(MemberStatus.INSYNC);
  const whole = insync.filter((member) => !isLost(member)).length >= redundancy;

  // All of them stay as long as there is no sound one (D3): a disk that was reported by mistake still has its copy, and a
  // server that is away may never come back. In a detached volume a copy whose server is merely away misses nothing
  // meanwhile, and stays as well (R2).
  const mayDrop = !mirror.bound && !insync.every(isLost);
  const surplus = surplusMembers(insync.filter(isSound), redundancy);
  const dropped = insync.filter(({ lost }) => lost === "failed" || lost === "gone");
  const drop = mayDrop ? [...dropped, ...surplus] : [];

  const hasSource = insync.some((member) => member.readable);
  const spares = of(MemberStatus.SPARE);
  const staying = members.filter(
    (member) =>
      !isLost(member) && !member.evacuating && (isGood(member) || member.status === MemberStatus.SPARE),
  ).length;
  // Another copy is needed beside a lost last one, too: it is copied from there if it can still be read.
  const missing = Math.max(0, redundancy - staying);
  const unneeded = surplusSpares(mirror);
  // Where there is no room for another, one that failed again and again is all that there is: it is tried on.
  const mayResync = ({ reachable, lost }: HealingMember): boolean =>
    reachable && (lost === "no" || lost === "silent");
  const resync = hasSource ? spares.filter((member) => mayResync(member) && !unneeded.includes(member)) : [];

  return {
    forget: ids(forget),
    release: whole ? ids([...of(MemberStatus.FAULTY), ...spares.filter(isLost)]) : [],
    drop: ids(drop),
    giveUp: ids(spares.filter((member) => member.lost === "gone")),
    giveUpIfPlaced: ids(
      spares.filter(
        (member) =>
          (isLost(member) && member.lost !== "gone") ||
          (isLeaving(member) && whole) ||
          unneeded.includes(member),
      ),
    ),
    inTheWay: ids(findInTheWay(members)),
    missing,
    place: mirror.untouched || insync.length > 0 ? missing : 0,
    resync: ids([...resync, ...(mirror.bound ? letGo(insync, resync, surplus) : [])]),
  };
}

const isSound = ({ lost, reachable }: HealingMember): boolean => lost === "no" && reachable;

/**
 * A copy that was replaced, or declared failed, is kept until the mirror is whole (R7), but not in the very place of what would
 * make it so: the oldest one whose server could have another. Not without a sound copy.
 */
function findInTheWay(members: readonly HealingMember[]): HealingMember[] {
  const isOut = ({ status, lost }: HealingMember): boolean =>
    status === MemberStatus.FAULTY || (status === MemberStatus.SPARE && lost === "failed");
  if (!members.some((member) => member.status === MemberStatus.INSYNC && isSound(member))) return [];
  const used = new Set(members.filter((member) => !isOut(member)).map(({ ssvrid }) => ssvrid));
  return members
    .filter((member) => isOut(member) && member.reachable && !used.has(member.ssvrid))
    .sort((a, b) => a.dextid - b.dextid)
    .slice(0, 1);
}

/** SPARE members beyond the redundancy: what they were to replace is there after all. Those that can be asked stay first. */
function surplusSpares({ members, redundancy }: HealingMirror): HealingMember[] {
  const staying = members.filter(({ lost, evacuating }) => lost === "no" && !evacuating);
  const good = staying.filter((member) => isGood(member) && member.reachable).length;
  const spares = staying
    .filter(({ status }) => status === MemberStatus.SPARE)
    .sort((a, b) => Number(b.reachable) - Number(a.reachable) || a.dextid - b.dextid);
  return spares.slice(Math.max(0, redundancy - good));
}

/**
 * A sound copy in whose place its head is to stop using one that was declared lost, or that is not needed, if no resync that
 * is still to begin does so: a replacement may never be found, and a lost copy is no redundancy meanwhile.
 */
function letGo(
  insync: readonly HealingMember[],
  resync: readonly HealingMember[],
  surplus: readonly HealingMember[],
): HealingMember[] {
  const lost = insync.filter((member) => member.lost !== "no" && member.lost !== "silent");
  const leaving = [...lost, ...surplus];
  const toCome = resync.filter(({ resyncing }) => !resyncing);
  if (leaving.length <= toCome.length) return [];
  return insync.filter((member) => isSound(member) && !surplus.includes(member)).slice(0, 1);
}
