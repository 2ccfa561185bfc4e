import { MemberStatus } from "../../shared/states.js";
import { isUp } from "../domain/member-rules.js";
import { isUsable } from "../domain/snapshot-rules.js";
import { type MemberRow, membersOfAttachment } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { findVolume } from "../store/volumes.js";

/**
 * Part of an operation: the INSYNC copies of a volume and its snapshots that can't be asked, as far as the manager knows. An
 * attach has to do without them; where nobody asked for it, it is better to wait for them.
 */
export async function absentCopies(tx: Tx, lvolid: number): Promise<MemberRow[]> {
  const absent: MemberRow[] = [];
  for (const member of await membersOfAttachment(tx, lvolid)) {
    if (member.status !== MemberStatus.INSYNC) continue;
    if (isUp(member.disk_priority) && isUp(member.server_priority)) continue;
    const owner = await findVolume(tx, member.lvolid);
    if (owner !== undefined && (owner.lvolid === lvolid || isUsable(owner))) absent.push(member);
  }
  return absent;
}
