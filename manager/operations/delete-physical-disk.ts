import { VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { FailureTarget } from "../../shared/states.js";
import { assertDiskIsOut } from "../domain/removal-rules.js";
import { findDisk } from "../store/disks.js";
import { evacuatedDisks } from "../store/evacuations.js";
import { recordChange } from "../store/events.js";
import type { Operation } from "./operation.js";
import { removeDisks } from "./remove-disks.js";

/**
 * Deletes a disk that is out of use or evacuated; its id is never used again.
 *
 * @throws VasError ENOENT, EBUSY
 */
export const deletePhysicalDisk: Operation<ParamsOf<typeof apiMethods.deletePhysicalDisk>, 0> = async (
  tx,
  { pdskid },
  context,
) => {
  const disk = await findDisk(tx, pdskid);
  if (disk === undefined) throw new VasError("ENOENT", `pdskid: there is no disk ${pdskid}`);
  const what = `disk ${showDisk(pdskid)}`;
  const left = (await evacuatedDisks(tx)).find((row) => row.pdskid === pdskid);
  assertDiskIsOut(what, disk.priority, left);
  await removeDisks(tx, { what, pdskids: [pdskid] }, context);
  await recordChange(
    tx,
    { target: FailureTarget.PDSK, targetid: pdskid, sentence: `${what} was deleted` },
    context,
  );
  return 0;
};
