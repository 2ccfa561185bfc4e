import { MemberStatus } from "../../shared/states.js";
import { deleteExtent, type MemberRow, moveMemberToShred } from "../store/extents.js";
import { returnRange } from "../store/free-ranges.js";
import type { Tx } from "../store/open-store.js";

/**
 * Takes an extent out of its mirror. One that was never attached was never written and is free at once; any other
 * waits for its shred (D5).
 */
export async function dismissMember(tx: Tx, member: MemberRow, lvolid: number): Promise<void> {
  if (member.status === MemberStatus.ALLOCATED) {
    await deleteExtent(tx, member.dextid);
    await returnRange(tx, member.pdskid, member.offset, member.length);
  } else {
    await moveMemberToShred(tx, member.dextid, member.status, lvolid);
  }
}
