import { VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import type { Tx } from "../store/open-store.js";
import { findVolume, findVolumeByName, type VolumeRow } from "../store/volumes.js";

/** Both ways in which a call names a volume. With both the id is used; an id of 0 is none. */
export interface VolumeRef {
  readonly lvolid?: number | undefined;
  readonly lvolname?: string | undefined;
}

export function namesNoVolume(ref: VolumeRef): boolean {
  return (ref.lvolid === undefined || ref.lvolid === 0) && ref.lvolname === undefined;
}

/**
 * @param prefix of the parameters' names, for sentences.
 * @throws VasError EINVAL if the call names none, ENOENT if it names one that is not there.
 */
export async function resolveVolume(tx: Tx, ref: VolumeRef, prefix = ""): Promise<VolumeRow> {
  if (namesNoVolume(ref))
    throw new VasError("EINVAL", `either ${prefix}lvolid or ${prefix}lvolname must be given`);
  if (ref.lvolid !== undefined && ref.lvolid !== 0) {
    const volume = await findVolume(tx, ref.lvolid);
    if (volume !== undefined) return volume;
    throw new VasError("ENOENT", `there is no volume ${showVolume(ref.lvolid)}`);
  }
  const volume = await findVolumeByName(tx, ref.lvolname ?? "");
  if (volume !== undefined) return volume;
  throw new VasError("ENOENT", `there is no volume named "${ref.lvolname?.slice(0, 64)}"`);
}
