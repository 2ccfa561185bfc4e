import { VasError } from "../../shared/errors.js";
import { showMirror, showStorageServer } from "../../shared/ids.js";
import { MemberStatus } from "../../shared/states.js";
import { isGood } from "../domain/member-rules.js";
import { nameVolume } from "../domain/volume-rules.js";
import { membersOfVolume, moveMember } from "../store/extents.js";
import { findVolume, raiseMirrorVersion } from "../store/volumes.js";
import { assertHeld } from "./held-job.js";
import type { Operation } from "./operation.js";

/**
 * In an attach or a fence: the members on servers that could not be asked leave INSYNC, all or none of them.
 *
 * @throws VasError EHOSTDOWN, naming the server, if one of them is the last good copy of its mirror (D3).
 */
export const dropUnaskedMembers: Operation<
  { readonly jobid: number; readonly lvolid: number; readonly ssvrids: readonly number[] },
  void
> = async (tx, params, context) => {
  await assertHeld(tx, params.jobid, context);
  const volume = await findVolume(tx, params.lvolid);
  const good = new Map<number, number>();
  const members = await membersOfVolume(tx, params.lvolid);
  for (const member of members) {
    if (isGood(member)) good.set(member.mirrorid, (good.get(member.mirrorid) ?? 0) + 1);
  }
  for (const member of members) {
    if (member.status !== MemberStatus.INSYNC || !params.ssvrids.includes(member.ssvrid)) continue;
    const left = (good.get(member.mirrorid) ?? 0) - 1;
    if (left === 0) {
      throw new VasError(
        "EHOSTDOWN",
        `storage server ${showStorageServer(member.ssvrid)} can't be asked and holds the last good copy of mirror ` +
          `${showMirror(member.mirrorid)} of ${volume === undefined ? "the volume" : nameVolume(volume)}; bring it back`,
      );
    }
    good.set(member.mirrorid, left);
    await moveMember(tx, member.dextid, MemberStatus.INSYNC, MemberStatus.SPARE);
    await raiseMirrorVersion(tx, member.mirrorid);
  }
};
