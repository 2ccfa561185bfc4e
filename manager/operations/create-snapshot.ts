import { VasError } from "../../shared/errors.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { snapshotCapacity } from "../../shared/snapshot-space.js";
import { FailureTarget, SnapshotStatus } from "../../shared/states.js";
import { describeSnapshot } from "../domain/job-descriptions.js";
import { assertNoSnapshot, needsHead } from "../domain/snapshot-rules.js";
import { nameVolume } from "../domain/volume-rules.js";
import { recordChange } from "../store/events.js";
import { moveAllocatedToInSync } from "../store/extents.js";
import { insertJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { takeIds } from "../store/sequences.js";
import { raiseGrantVersion, setLayer, type VolumeRow } from "../store/volumes.js";
import { allocateVolume } from "./allocate-volume.js";
import { assertNameIsFree } from "./create-volume.js";
import { endMaintenance } from "./end-maintenance.js";
import type { Operation } from "./operation.js";
import { resolveVolume } from "./resolve-volume.js";

/** The largest volume of the API, in GB. */
const MAX_CAPACITY = 1_048_576;

export interface BegunSnapshot {
  readonly lvolid: number;
  /** The job that has the head take it; undefined if the volume is detached, and the snapshot there already. */
  readonly jobid: number | undefined;
}

/**
 * Sets the copy-on-write space of a snapshot aside. A detached volume is not written to, so that its snapshot is there with
 * this commit; the head of an attached one takes it.
 *
 * @throws VasError EINVAL for a snapshot of a snapshot, ENOENT, EEXIST, ENOSPC, EAGAIN
 */
export const createSnapshot: Operation<ParamsOf<typeof apiMethods.createSnapshot>, BegunSnapshot> = async (
  tx,
  params,
  context,
) => {
  const { snapshot_lvolname: lvolname, origin_lvolid, origin_lvolname } = params;
  const found = await resolveVolume(tx, { lvolid: origin_lvolid, lvolname: origin_lvolname }, "origin_");
  assertNoSnapshot(found, "can't be the origin of another one");
  await assertNameIsFree(tx, lvolname);
  const origin = await endMaintenance(tx, found, context);
  const isAttached = needsHead(origin);
  const capacity = snapshotCapacity(origin.capacity);
  if (capacity > MAX_CAPACITY)
    throw new VasError("ENOSPC", `a snapshot of ${nameVolume(origin)} would need ${capacity} GB`);

  const snapshot_status = isAttached ? SnapshotStatus.CREATING : SnapshotStatus.READY;
  const snapshot = { origin_lvolid: origin.lvolid, snapshot_status };
  const lvolid = await allocateVolume(
    tx,
    { lvolname, capacity, redundancy: origin.redundancy, snapshot },
    context,
  );
  await giveLayer(tx, origin);
  const description = describeSnapshot({ lvolid, lvolname }, origin);
  if (!isAttached) {
    const about = { target: FailureTarget.LVOL, targetid: lvolid };
    await recordChange(tx, { ...about, sentence: `${description} is taken` }, context);
    return { lvolid, jobid: undefined };
  }
  // Committed before the grant goes out: from then on this space may be written (R10).
  await moveAllocatedToInSync(tx, origin.lvolid);
  await raiseGrantVersion(tx, origin.lvolid);
  const jobid = await insertJob(tx, {
    kind: "create-snapshot",
    subject: lvolid,
    payload: { epoch: origin.epoch },
    description,
    now: context.now,
  });
  return { lvolid, jobid };
};

/** With its first snapshot a volume gets a SNAPSHOT-ORIGIN. */
async function giveLayer(tx: Tx, origin: VolumeRow): Promise<void> {
  if (origin.layerid !== null) return;
  const [layerid = 0] = await takeIds(tx, "lvol", 1);
  await setLayer(tx, origin.lvolid, layerid);
}
