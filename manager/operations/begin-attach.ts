import { VasError } from "../../shared/errors.js";
import { showHeadServer } from "../../shared/ids.js";
import { BindEvent, BindStatus } from "../../shared/states.js";
import { describeBinding } from "../domain/job-descriptions.js";
import { isUp } from "../domain/member-rules.js";
import { assertNoSnapshot } from "../domain/snapshot-rules.js";
import { assertUnbound } from "../domain/volume-rules.js";
import { moveAllocatedToInSync } from "../store/extents.js";
import { insertJob } from "../store/jobs.js";
import { findHeadServer } from "../store/servers.js";
import { moveBinding } from "../store/volumes.js";
import type { Operation } from "./operation.js";
import { resolveVolume, type VolumeRef } from "./resolve-volume.js";

/**
 * Opens a new epoch of a volume on a head server.
 *
 * @returns the id of the attach job.
 */
export const beginAttach: Operation<VolumeRef & { readonly hsvrid: number }, number> = async (
  tx,
  params,
  context,
) => {
  const volume = await resolveVolume(tx, params);
  const head = await findHeadServer(tx, params.hsvrid);
  if (head === undefined) throw new VasError("EINVAL", `hsvrid: there is no head server ${params.hsvrid}`);
  assertNoSnapshot(volume, "is attached and detached with its origin");
  assertUnbound(volume);
  if (!isUp(head.priority)) {
    throw new VasError(
      "EHOSTDOWN",
      `head server ${showHeadServer(head.hsvrid)} is OFFLINE; start its agent, or choose another head`,
    );
  }
  const epoch = volume.epoch + 1;
  await moveBinding(tx, volume.lvolid, volume, {
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.BINDING,
    hsvrid: head.hsvrid,
    epoch,
    epoch_open: 1,
    grant_version: volume.grant_version + 1,
    bind_error: "",
  });
  // Committed before any grant goes out: from now on this space may be written (R10).
  await moveAllocatedToInSync(tx, volume.lvolid);
  return insertJob(tx, {
    kind: "attach",
    subject: volume.lvolid,
    payload: { epoch },
    description: describeBinding(volume, "to", head.hsvrid),
    now: context.now,
  });
};
