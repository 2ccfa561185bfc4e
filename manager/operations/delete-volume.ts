import { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, FailureTarget, SnapshotStatus } from "../../shared/states.js";
import { describeSnapshot } from "../domain/job-descriptions.js";
import { assertNoSnapshots, isSnapshot } from "../domain/snapshot-rules.js";
import { assertUnbound, nameVolume } from "../domain/volume-rules.js";
import { recordChange } from "../store/events.js";
import { membersOfVolume } from "../store/extents.js";
import { cancelOpenJobs, cancelResyncsOfVolume, insertJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import {
  attachmentOf,
  deleteVolumeRows,
  moveSnapshot,
  snapshotsOf,
  type VolumeRow,
} from "../store/volumes.js";
import { dismissMember } from "./dismiss-member.js";
import { endMaintenance } from "./end-maintenance.js";
import { removeSnapshot } from "./end-snapshot.js";
import type { Operation, OperationContext } from "./operation.js";
import { readGrants } from "./read-attachment.js";
import { resolveVolume, type VolumeRef } from "./resolve-volume.js";
import { revokeLater } from "./revoke-later.js";

/**
 * Deletes a volume that is attached nowhere, or a snapshot. Space that may have been written is shredded before its next
 * use. A snapshot of an attached volume is taken from the head first.
 *
 * @returns the id of the job that does so; undefined if it is gone already.
 * @throws VasError EBUSY
 */
export const deleteVolume: Operation<VolumeRef, number | undefined> = async (tx, ref, context) => {
  const found = await resolveVolume(tx, ref);
  if (isSnapshot(found)) return deleteSnapshot(tx, found, context);
  const volume = await endMaintenance(tx, found, context);
  assertUnbound(volume);
  assertNoSnapshots(volume, await snapshotsOf(tx, volume.lvolid));
  const gone = { now: context.now, result: "ECANCELED", last_error: "the volume was deleted" };
  await cancelResyncsOfVolume(tx, volume.lvolid, gone);
  await cancelOpenJobs(tx, ["end-maintenance"], volume.lvolid, gone);
  // A head that had it for maintenance is shut out before its turn to be shredded comes.
  if (found.maintenance === 1) {
    const servers = (await readGrants(tx, volume.lvolid)).map(({ ssvrid }) => ssvrid);
    await revokeLater(tx, volume, servers);
  }
  for (const member of await membersOfVolume(tx, volume.lvolid)) {
    await dismissMember(tx, member, volume.lvolid);
  }
  await deleteVolumeRows(tx, volume.lvolid);
  const about = { target: FailureTarget.LVOL, targetid: volume.lvolid };
  await recordChange(tx, { ...about, sentence: `${nameVolume(volume)} is deleted` }, context);
  return undefined;
};

async function deleteSnapshot(
  tx: Tx,
  snapshot: VolumeRow,
  context: OperationContext,
): Promise<number | undefined> {
  if (snapshot.snapshot_status !== SnapshotStatus.READY) {
    const what = snapshot.snapshot_status === SnapshotStatus.CREATING ? "created" : "deleted";
    throw new VasError("EBUSY", `snapshot ${snapshot.lvolname} is being ${what}`);
  }
  const origin = await endMaintenance(tx, await attachmentOf(tx, snapshot), context);
  const description = describeSnapshot(snapshot, origin);
  // What a head that is being fenced may still write is shut out by the revoke before the shred.
  if (origin.epoch_open === 0) {
    await removeSnapshot(tx, snapshot, context);
    const about = { target: FailureTarget.LVOL, targetid: snapshot.lvolid };
    await recordChange(tx, { ...about, sentence: `${description} is deleted` }, context);
    return undefined;
  }
  if (origin.bind_status !== BindStatus.BOUND || origin.bind_event !== BindEvent.NONE)
    throw new VasError("EBUSY", `${nameVolume(origin)}, its origin, is being attached or detached`);
  await moveSnapshot(tx, snapshot.lvolid, SnapshotStatus.READY, SnapshotStatus.DELETING);
  return insertJob(tx, {
    kind: "delete-snapshot",
    subject: snapshot.lvolid,
    payload: { epoch: origin.epoch },
    description,
    now: context.now,
  });
}
