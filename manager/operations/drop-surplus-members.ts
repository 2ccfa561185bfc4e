import { MemberStatus } from "../../shared/states.js";
import { isUp } from "../domain/member-rules.js";
import { type MemberRow, membersOfAttachment, moveMember } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { findStorageServer } from "../store/servers.js";
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
    const sound: MemberRow[] = [];
    for (const member of members) {
      if (!unreached.includes(member.ssvrid) && (await isSound(tx, member))) sound.push(member);
    }
    const surplus = sound.slice(owner.redundancy);
    for (const { dextid } of surplus) await moveMember(tx, dextid, MemberStatus.INSYNC, MemberStatus.FAULTY);
    if (surplus.length > 0) await raiseMirrorVersion(tx, mirrorid);
  }
}

async function isSound(tx: Tx, member: MemberRow): Promise<boolean> {
  const server = await findStorageServer(tx, member.ssvrid);
  return server !== undefined && isUp(server.priority) && isUp(member.disk_priority) && member.lost === 0;
}
