import { BindEvent, BindStatus } from "../../shared/states.js";
import { describeBinding } from "../domain/job-descriptions.js";
import { moveAllocatedToInSync } from "../store/extents.js";
import { insertJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { moveBinding, type VolumeRow } from "../store/volumes.js";
import type { OperationContext } from "./operation.js";

/**
 * Part of an operation: a volume that is attached nowhere is on its way to a head server, under a new epoch.
 *
 * @param opening.maintenance no user asked for it.
 * @returns the id of the attach job.
 */
export async function openEpoch(
  tx: Tx,
  opening: { readonly volume: VolumeRow; readonly hsvrid: number; readonly maintenance: boolean },
  context: OperationContext,
): Promise<number> {
  const { volume, hsvrid, maintenance } = opening;
  const epoch = volume.epoch + 1;
  await moveBinding(tx, volume.lvolid, volume, {
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.BINDING,
    hsvrid,
    epoch,
    epoch_open: 1,
    grant_version: volume.grant_version + 1,
    ...(maintenance ? { maintenance: 1 } : { bind_error: "" }),
  });
  // Committed before any grant goes out: from now on this space may be written (R10).
  await moveAllocatedToInSync(tx, volume.lvolid);
  const description = describeBinding(volume, "to", hsvrid);
  return insertJob(tx, {
    kind: "attach",
    subject: volume.lvolid,
    payload: { epoch, maintenance },
    description: maintenance ? `${description}, to bring its copies in sync` : description,
    now: context.now,
  });
}
