import { VasError } from "../../shared/errors.js";
import { Evacuation, MemberStatus, Priority } from "../../shared/states.js";
import { type DeclaredMember, isUp } from "./member-rules.js";

/** Pure rules about disks and storage servers that are to be given up, copies first. */
interface Evacuable {
  readonly evacuating: Evacuation;
}

/** What a storage server is while it is in use. */
export function priorityOfServer({ evacuating }: Evacuable): Priority {
  return evacuating === Evacuation.NONE ? Priority.HIGH : Priority.EVACUATE;
}

/** What a disk is while it is in use. */
export function priorityOfDisk(disk: Evacuable & { readonly bad_blocks: number }): Priority {
  if (disk.evacuating !== Evacuation.NONE) return Priority.EVACUATE;
  return disk.bad_blocks > 0 ? Priority.LOW : Priority.HIGH;
}

/** @throws VasError EBUSY for a disk that was reported as failed: nothing of it is read as long as there is another copy. */
export function assertMayEvacuate(what: string, priority: Priority): void {
  if (priority !== Priority.FAULTY) return;
  throw new VasError(
    "EBUSY",
    `${what} is FAULTY: its copies are replaced from others already, and it can be deleted when its volumes do without them`,
  );
}

/** What is still on a disk, or on the disks of a server. */
export interface Remainder {
  /** Extents that belong to mirrors. */
  readonly extents: number;
  /** Those of them that belong to snapshots whose content is lost: there is nothing to copy, so they stay. */
  readonly lost: number;
  /** GB that wait for their shred. */
  readonly unshredded: number;
}

export const isNothing = ({ extents, unshredded }: Omit<Remainder, "lost">): boolean =>
  extents === 0 && unshredded === 0;

/** What is left to do, for people: completes "disk pdsk-00000001 is being evacuated: …". */
export function describeRemainder({ extents, lost, unshredded }: Remainder): string {
  const stay = lost > 0 ? `, ${lost} of lost snapshots, which have to be deleted` : "";
  if (extents > 0) return `${extents} ${extents === 1 ? "extent" : "extents"} left${stay}`;
  return `${unshredded} GB left to shred`;
}

/** A member with where it is. */
interface LocatedMember extends DeclaredMember {
  readonly server_priority: Priority;
  readonly evacuating: 0 | 1;
}

/** An INSYNC member of which nobody declared anything, and that can be asked. */
export function isSoundInSync(member: LocatedMember): boolean {
  const { status, lost, disk_priority, server_priority } = member;
  return status === MemberStatus.INSYNC && lost === 0 && isUp(disk_priority) && isUp(server_priority);
}

/** A member of a mirror that is in sync and sound: nobody declared anything of it, and it can be asked. */
interface SoundMember {
  readonly dextid: number;
  /** Its disk or its server is being evacuated. */
  readonly evacuating: boolean | 0 | 1;
}

/**
 * The members that a mirror can do without: those that are being evacuated once there are as many others as it should have,
 * and the newest of the others that are more than that. None before: redundancy is never lent.
 *
 * @param sound all sound INSYNC members of the mirror
 */
export function surplusMembers<M extends SoundMember>(sound: readonly M[], redundancy: number): M[] {
  const staying = sound.filter(({ evacuating }) => !evacuating).sort((a, b) => a.dextid - b.dextid);
  if (staying.length < redundancy) return [];
  return [...sound.filter(({ evacuating }) => Boolean(evacuating)), ...staying.slice(redundancy)];
}
