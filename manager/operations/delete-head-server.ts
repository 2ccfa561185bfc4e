import { VasError } from "../../shared/errors.js";
import { showHeadServer } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { FailureTarget } from "../../shared/states.js";
import { assertNoVolumes, assertServerIsOut } from "../domain/removal-rules.js";
import { recordChange } from "../store/events.js";
import { deleteServer, findHeadServer } from "../store/servers.js";
import { volumesOfHead } from "../store/volumes.js";
import type { Operation } from "./operation.js";

/**
 * Deletes a head server that is out of use, and that no volume can be written by any more.
 *
 * @throws VasError ENOENT, EBUSY
 */
export const deleteHeadServer: Operation<ParamsOf<typeof apiMethods.deleteHeadServer>, 0> = async (
  tx,
  { hsvrid },
  context,
) => {
  const head = await findHeadServer(tx, hsvrid);
  if (head === undefined) throw new VasError("ENOENT", `hsvrid: there is no head server ${hsvrid}`);
  const what = `head server ${showHeadServer(hsvrid)}`;
  assertServerIsOut(what, head.priority, undefined);
  assertNoVolumes(what, await volumesOfHead(tx, hsvrid));
  await deleteServer(tx, "head", hsvrid);
  await recordChange(
    tx,
    { target: FailureTarget.HSVR, targetid: hsvrid, sentence: `${what} was deleted` },
    context,
  );
  return 0;
};
