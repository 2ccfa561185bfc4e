import { MemberStatus, Priority } from "../../shared/states.js";

/** Pure rules about the members of one mirror. */
export interface Member {
  readonly dextid: number;
  readonly ssvrid: number;
  readonly status: MemberStatus;
}

/** A member that counts towards the redundancy: it holds the mirror's content, or is to be given it. */
export function isLive(member: Member): boolean {
  return (
    member.status === MemberStatus.ALLOCATED ||
    member.status === MemberStatus.INSYNC ||
    member.status === MemberStatus.SPARE
  );
}

export function isGood(member: Member): boolean {
  return member.status === MemberStatus.INSYNC || member.status === MemberStatus.ALLOCATED;
}

/** A member with what people and monitors declared of its extent and its disk. */
export interface DeclaredMember extends Member {
  readonly lost: 0 | 1;
  readonly disk_priority: Priority;
}

/** The extent, its disk or its server was declared failed. */
export function isDeclaredLost(member: DeclaredMember, lostServers: ReadonlySet<number>): boolean {
  return member.lost === 1 || member.disk_priority === Priority.FAULTY || lostServers.has(member.ssvrid);
}

/** A good copy of which nobody declared anything: one to rely on. `store/sound-copies.ts` says the same in SQL. */
export function isSound(member: DeclaredMember, lostServers: ReadonlySet<number>): boolean {
  return isGood(member) && !isDeclaredLost(member, lostServers);
}

/**
 * The copies that a head is to stop using, in this order: INSYNC ones that were declared failed, those on lost servers first,
 * because they hold up writes. None while there is no sound one: what was declared by mistake is still there then (D3).
 */
export function leavingMembers<M extends DeclaredMember>(
  members: readonly M[],
  lostServers: ReadonlySet<number>,
): M[] {
  if (!members.some((member) => isSound(member, lostServers))) return [];
  const leaving = members.filter(
    (member) => member.status === MemberStatus.INSYNC && isDeclaredLost(member, lostServers),
  );
  const onLost = (member: M): boolean => lostServers.has(member.ssvrid);
  return [...leaving.filter(onLost), ...leaving.filter((member) => !onLost(member))];
}

/** The last good copy of a mirror is never dropped, replaced or shredded (D3). */
export function isLastGood(members: readonly Member[], dextid: number): boolean {
  const good = members.filter(isGood);
  return good.length === 1 && good[0]?.dextid === dextid;
}

/** A member of which the volume's head may be given the extent: it reads or writes it, or copies to it. */
export function isGranted(member: Member): boolean {
  return member.status === MemberStatus.INSYNC || member.status === MemberStatus.SPARE;
}

/** A server or disk of this priority can be asked and used; OFFLINE, FAULTY and HALT ones can't. */
export function isUp(priority: Priority): boolean {
  return priority === Priority.HIGH || priority === Priority.LOW || priority === Priority.EVACUATE;
}
