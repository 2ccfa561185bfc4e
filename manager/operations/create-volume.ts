import { VasError } from "../../shared/errors.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
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
  return allocateVolume(tx, { lvolname, capacity, redundancy }, context);
};

/** @throws VasError EEXIST */
export async function assertNameIsFree(tx: Tx, lvolname: string): Promise<void> {
  if ((await findVolumeByName(tx, lvolname)) === undefined) return;
  throw new VasError("EEXIST", `there is already a volume named "${lvolname}"`);
}
