import { MemberStatus } from "../../shared/states.js";
import { isSoundInSync, surplusMembers } from "../domain/evacuation-rules.js";
import { type MemberRow, membersOfAttachment, moveMember } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { findVolume, raiseMirrorVersion } from "../store/volumes.js";

/**
 * Part of an operation: a volume is detached, so that nobody uses its copies. A storage server that came back after it was
 * replaced, and that its head never missed, has left one too many: the newest copies are given back.
 *
 * @param unreached storage servers that did not answer just now: what they hold counts for nothing here.
 */
export async function dropSurplusMembers(
  tx: Tx,
  lvolid: number,
  unreached: readonly number[],
): Promise<void> {
  const mirrors = new Map<number, (MemberRow & { readonly lvolid: number })[]>();
  for (const member of await membersOfAttachment(tx, lvolid)) {
    if (member.status !== MemberStatus.INSYNC) continue;
    const list = mirrors.get(member.mirrorid);
    if (list === undefined) mirrors.set(member.mirrorid, [member]);
    else list.push(member);
  }
  for (const [mirrorid, members] of mirrors) {
    const owner = await findVolume(tx, members[0]?.lvolid ?? 0);
    if (owner === undefined || members.length <= owner.redundancy) continue;
    const sound = members.filter((member) => !unreached.includes(member.ssvrid) && isSoundInSync(member));
    const surplus = surplusMembers(sound, owner.redundancy);
    for (const { dextid } of surplus) await moveMember(tx, dextid, MemberStatus.INSYNC, MemberStatus.FAULTY);
    if (surplus.length > 0) await raiseMirrorVersion(tx, mirrorid);
  }
}
