import { VasError } from "../../shared/errors.js";
import { showStorageServer } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { FailureTarget } from "../../shared/states.js";
import { assertServerIsOut } from "../domain/removal-rules.js";
import { listDisks } from "../store/disks.js";
import { evacuatedServers } from "../store/evacuations.js";
import { recordChange } from "../store/events.js";
import { deleteServer, findStorageServer } from "../store/servers.js";
import type { Operation } from "./operation.js";
import { removeDisks } from "./remove-disks.js";

/**
 * Deletes a storage server that is out of use or evacuated, and all of its disks, whatever state they were left in: none of them can be
 * asked.
 *
 * @throws VasError ENOENT, EBUSY
 */
export const deleteStorageServer: Operation<ParamsOf<typeof apiMethods.deleteStorageServer>, 0> = async (
  tx,
  { ssvrid },
  context,
) => {
  const server = await findStorageServer(tx, ssvrid);
  if (server === undefined) throw new VasError("ENOENT", `ssvrid: there is no storage server ${ssvrid}`);
  const what = `storage server ${showStorageServer(ssvrid)}`;
  const left = (await evacuatedServers(tx)).find((row) => row.ssvrid === ssvrid);
  assertServerIsOut(what, server.priority, left);
  const disks = await listDisks(tx, ssvrid);
  await removeDisks(tx, { what, pdskids: disks.map(({ pdskid }) => pdskid) }, context);
  await deleteServer(tx, "storage", ssvrid);
  await recordChange(
    tx,
    { target: FailureTarget.SSVR, targetid: ssvrid, sentence: `${what} was deleted` },
    context,
  );
  return 0;
};
