import { VasError } from "../../shared/errors.js";
import { showHeadServer } from "../../shared/ids.js";
import { isUp } from "../domain/member-rules.js";
import { assertNoSnapshot } from "../domain/snapshot-rules.js";
import { assertUnbound } from "../domain/volume-rules.js";
import { findHeadServer } from "../store/servers.js";
import { endMaintenance } from "./end-maintenance.js";
import { openEpoch } from "./open-epoch.js";
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
  const found = await resolveVolume(tx, params);
  const head = await findHeadServer(tx, params.hsvrid);
  if (head === undefined) throw new VasError("EINVAL", `hsvrid: there is no head server ${params.hsvrid}`);
  assertNoSnapshot(found, "is attached and detached with its origin");
  const volume = await endMaintenance(tx, found, context);
  assertUnbound(volume);
  if (!isUp(head.priority)) {
    throw new VasError(
      "EHOSTDOWN",
      `head server ${showHeadServer(head.hsvrid)} is OFFLINE; start its agent, or choose another head`,
    );
  }
  return openEpoch(tx, { volume, hsvrid: head.hsvrid, maintenance: false }, context);
};
