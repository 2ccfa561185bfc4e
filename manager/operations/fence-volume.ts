import { BindEvent } from "../../shared/states.js";
import { describeBinding } from "../domain/job-descriptions.js";
import { cancelOpenJobs, cancelResyncsOfVolume, findOpenJob, insertJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { moveBinding, type VolumeRow } from "../store/volumes.js";
import { endMaintenance } from "./end-maintenance.js";
import type { OperationContext } from "./operation.js";

/**
 * Part of an operation: takes a volume from a head server that can't be asked, or that does not run it any more. The
 * epoch closes with this commit (R1); a fence job then revokes it at every storage server (D4) and unbinds. It can't
 * be cancelled (R15).
 */
export async function fenceVolume(
  tx: Tx,
  fence: { readonly volume: VolumeRow; readonly reason: string },
  context: OperationContext,
): Promise<void> {
  const { volume, reason } = fence;
  if (volume.maintenance === 1) {
    await endMaintenance(tx, volume, context);
    return;
  }
  if ((await findOpenJob(tx, "fence", volume.lvolid)) !== undefined) return;
  const gone = { now: context.now, result: "EHOSTDOWN", last_error: reason };
  await cancelOpenJobs(tx, ["attach", "detach"], volume.lvolid, gone);
  await cancelResyncsOfVolume(tx, volume.lvolid, gone);
  await moveBinding(tx, volume.lvolid, volume, {
    bind_status: volume.bind_status,
    bind_event: BindEvent.UNBINDING,
    epoch_open: 0,
    bind_error: reason,
  });
  await insertJob(tx, {
    kind: "fence",
    subject: volume.lvolid,
    payload: { epoch: volume.epoch },
    description: `${describeBinding(volume, "at", volume.hsvrid)}: ${reason}`,
    now: context.now,
  });
}
