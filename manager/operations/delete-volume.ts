import { assertUnbound } from "../domain/volume-rules.js";
import { membersOfVolume } from "../store/extents.js";
import { cancelResyncsOfVolume } from "../store/jobs.js";
import { deleteVolumeRows } from "../store/volumes.js";
import { dismissMember } from "./dismiss-member.js";
import type { Operation } from "./operation.js";
import { resolveVolume, type VolumeRef } from "./resolve-volume.js";

/** Deletes a volume that is attached nowhere. Space that may have been written is shredded before its next use. */
export const deleteVolume: Operation<VolumeRef, 0> = async (tx, ref, context) => {
  const volume = await resolveVolume(tx, ref);
  assertUnbound(volume);
  const gone = { now: context.now, result: "ECANCELED", last_error: "the volume was deleted" };
  await cancelResyncsOfVolume(tx, volume.lvolid, gone);
  for (const member of await membersOfVolume(tx, volume.lvolid)) {
    await dismissMember(tx, member, volume.lvolid);
  }
  await deleteVolumeRows(tx, volume.lvolid);
  return 0;
};
