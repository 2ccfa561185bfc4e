import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { Priority } from "../../shared/states.js";
import { assertAllUnbound } from "../domain/volume-rules.js";
import { moveAllDisks } from "../store/disks.js";
import { recordChange } from "../store/events.js";
import { cancelAllShreds } from "../store/jobs.js";
import {
  allHeadServers,
  allStorageServers,
  updateHeadServer,
  updateStorageServer,
} from "../store/servers.js";
import { allVolumes, maintainedVolumes } from "../store/volumes.js";
import { endMaintenance } from "./end-maintenance.js";
import type { Operation } from "./operation.js";

/**
 * Takes everything out of use, so that servers can be stopped without anything being replaced. Each comes back when its
 * agent starts and registers. What was declared lost before stays so; who did not answer is shut down like the others.
 *
 * @throws VasError EBUSY if a volume is attached, or on its way.
 */
export const shutdownAll: Operation<ParamsOf<typeof apiMethods.shutdownAll>, 0> = async (
  tx,
  _params,
  context,
) => {
  for (const volume of await maintainedVolumes(tx)) await endMaintenance(tx, volume, context);
  assertAllUnbound(await allVolumes(tx));
  // Not silent: the server check must not bring them back by hearing from them.
  for (const { hsvrid } of await allHeadServers(tx))
    await updateHeadServer(tx, hsvrid, { priority: Priority.OFFLINE, silent: 0 });
  for (const { ssvrid } of await allStorageServers(tx))
    await updateStorageServer(tx, ssvrid, { priority: Priority.HALT, silent: 0 });
  await moveAllDisks(tx, [Priority.FAULTY], Priority.HALT);
  const sentence = "the whole system was shut down";
  await cancelAllShreds(tx, { now: context.now, result: "ECANCELED", last_error: sentence });
  await recordChange(tx, { target: 0, targetid: 0, sentence }, context);
  return 0;
};
