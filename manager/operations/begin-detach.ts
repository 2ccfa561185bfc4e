import { BindEvent } from "../../shared/states.js";
import { describeBinding } from "../domain/job-descriptions.js";
import { assertNoSnapshot, assertSnapshotsAtRest } from "../domain/snapshot-rules.js";
import { mayDetach } from "../domain/volume-rules.js";
import { insertJob } from "../store/jobs.js";
import { moveBinding, snapshotsOf } from "../store/volumes.js";
import type { Operation } from "./operation.js";
import { resolveVolume, type VolumeRef } from "./resolve-volume.js";

/** @returns the id of the detach job; undefined if the volume is not attached. */
export const beginDetach: Operation<VolumeRef, number | undefined> = async (tx, ref, context) => {
  const volume = await resolveVolume(tx, ref);
  assertNoSnapshot(volume, "is attached and detached with its origin");
  if (volume.maintenance === 1 || !mayDetach(volume)) return undefined;
  assertSnapshotsAtRest(volume, await snapshotsOf(tx, volume.lvolid));
  await moveBinding(tx, volume.lvolid, volume, {
    bind_status: volume.bind_status,
    bind_event: BindEvent.UNBINDING,
    bind_error: "",
  });
  return insertJob(tx, {
    kind: "detach",
    subject: volume.lvolid,
    payload: { epoch: volume.epoch },
    description: describeBinding(volume, "from", volume.hsvrid),
    now: context.now,
  });
};
