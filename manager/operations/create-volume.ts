import { VasError } from "../../shared/errors.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { FailureTarget } from "../../shared/states.js";
import { nameVolume } from "../domain/volume-rules.js";
import { recordChange } from "../store/events.js";
import type { Tx } from "../store/open-store.js";
import { findVolumeByName } from "../store/volumes.js";
import { allocateVolume } from "./allocate-volume.js";
import type { Operation } from "./operation.js";

const DEFAULT_REDUNDANCY = 3;

/** @returns lvolid */
export const createVolume: Operation<ParamsOf<typeof apiMethods.createLogicalVolume>, number> = async (
  tx,
  { lvolname, capacity, redundancy = DEFAULT_REDUNDANCY },
  context,
) => {
  await assertNameIsFree(tx, lvolname);
  const lvolid = await allocateVolume(tx, { lvolname, capacity, redundancy }, context);
  const sentence = `${nameVolume({ lvolid, lvolname })} is created: ${capacity} GB, ${redundancy} copies`;
  await recordChange(tx, { target: FailureTarget.LVOL, targetid: lvolid, sentence }, context);
  return lvolid;
};

/** @throws VasError EEXIST */
export async function assertNameIsFree(tx: Tx, lvolname: string): Promise<void> {
  if ((await findVolumeByName(tx, lvolname)) === undefined) return;
  throw new VasError("EEXIST", `there is already a volume named "${lvolname}"`);
}
