import { VasError } from "../../shared/errors.js";
import { showExtent } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { EventStatus } from "../../shared/states.js";
import { membersOfMirror } from "../store/extents.js";
import { hastenJob } from "../store/jobs.js";
import { findMirror } from "../store/volumes.js";
import type { Operation } from "./operation.js";

/**
 * An agent says that it has done what a job waits for. The job asks it at once instead of at its next attempt; what is true
 * is what the agent answers then, whatever the caller says.
 */
export const notifyShredFinished: Operation<ParamsOf<typeof apiMethods.notifyShredFinished>, 0> = async (
  tx,
  { dextid },
  context,
) => {
  await hastenJob(tx, "shred", dextid, context.now);
  return 0;
};

/** The same for the resyncs of a mirror. @throws VasError EINVAL, ENOENT */
export const notifyRebuildMirrorFinished: Operation<
  ParamsOf<typeof apiMethods.notifyRebuildMirrorFinished>,
  0
> = async (tx, { mirrorid, dexts }, context) => {
  const statuses: readonly number[] = Object.values(EventStatus);
  for (const { dextid, dext_status } of dexts) {
    if (statuses.includes(dext_status)) continue;
    throw new VasError("EINVAL", `dext_status of ${showExtent(dextid)} must be 0 to 5, not ${dext_status}`);
  }
  if ((await findMirror(tx, mirrorid)) === undefined)
    throw new VasError("ENOENT", `mirrorid: there is no mirror ${mirrorid}`);
  const told = new Set(dexts.map(({ dextid }) => dextid));
  for (const { dextid } of await membersOfMirror(tx, mirrorid))
    if (told.has(dextid)) await hastenJob(tx, "resync", dextid, context.now);
  return 0;
};
