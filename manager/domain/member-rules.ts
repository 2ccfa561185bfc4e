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
