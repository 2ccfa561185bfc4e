import type { VolumeNode } from "../../shared/layout-tree.js";
import type { VolumeInfo } from "../../shared/methods/manager-methods.js";
import { allVolumes, degradedVolumes } from "../store/volumes.js";
import { readLayoutTree, showTime } from "./layout-tree.js";
import type { Operation } from "./operation.js";
import { namesNoVolume, resolveVolume, type VolumeRef } from "./resolve-volume.js";

/** All volumes by id, or the one named. @throws VasError ENOENT if that one is not there. */
export const listVolumes: Operation<VolumeRef, VolumeInfo[]> = async (tx, ref) => {
  const volumes = namesNoVolume(ref) ? await allVolumes(tx) : [await resolveVolume(tx, ref)];
  const degraded = await degradedVolumes(tx);
  return volumes.map((volume) => ({
    hsvrid: volume.hsvrid ?? 0,
    lvolid: volume.lvolid,
    lvolname: volume.lvolname,
    redundancy: volume.redundancy,
    capacity: volume.capacity,
    associated_to: [],
    associated_from: [],
    fault: degraded.has(volume.lvolid),
    bind_status: volume.bind_status,
    bind_event: volume.bind_event,
    ctime: showTime(volume.ctime),
    bind_error: volume.bind_error,
  }));
};

/** How a volume is built. @throws VasError EINVAL if none is named, ENOENT if it is not there. */
export const showVolume: Operation<VolumeRef, VolumeNode> = async (tx, ref) =>
  readLayoutTree(tx, await resolveVolume(tx, ref));
