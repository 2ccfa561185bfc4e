import type { SnapshotNode, VolumeNode } from "../../shared/layout-tree.js";
import type { VolumeInfo } from "../../shared/methods/manager-methods.js";
import { SnapshotStatus } from "../../shared/states.js";
import { isSnapshot, snapshotStatusName } from "../domain/snapshot-rules.js";
import { shownBinding } from "../domain/volume-rules.js";
import { allVolumes, attachmentOf, degradedVolumes, type VolumeRow } from "../store/volumes.js";
import { readLayoutTree, readSnapshotTree, showTime } from "./layout-tree.js";
import type { Operation } from "./operation.js";
import { namesNoVolume, resolveVolume, type VolumeRef } from "./resolve-volume.js";

const isListed = ({ snapshot_status }: VolumeRow): boolean => snapshot_status !== SnapshotStatus.DELETING;

/**
 * All volumes by id, or the one named. A snapshot that is being deleted is shown only to who names it; its binding is that
 * of its origin.
 *
 * @throws VasError ENOENT if the one named is not there.
 */
export const listVolumes: Operation<VolumeRef, VolumeInfo[]> = async (tx, ref) => {
  const all = await allVolumes(tx);
  const byId = new Map(all.map((volume) => [volume.lvolid, volume]));
  const snapshots = new Map<number, VolumeRow[]>();
  for (const volume of all.filter(isListed)) {
    if (volume.origin_lvolid === null) continue;
    const list = snapshots.get(volume.origin_lvolid);
    if (list === undefined) snapshots.set(volume.origin_lvolid, [volume]);
    else list.push(volume);
  }
  const degraded = await degradedVolumes(tx);
  const chosen = namesNoVolume(ref) ? all.filter(isListed) : [await resolveVolume(tx, ref)];
  return chosen.map((volume) => {
    const origin = volume.origin_lvolid === null ? undefined : byId.get(volume.origin_lvolid);
    const attachment = origin ?? volume;
    const binding = shownBinding(attachment);
    return {
      hsvrid: binding.hsvrid ?? 0,
      lvolid: volume.lvolid,
      lvolname: volume.lvolname,
      redundancy: volume.redundancy,
      capacity: volume.capacity,
      associated_to: origin === undefined ? [] : [{ lvolid: origin.lvolid, type: "snapshot" }],
      associated_from: (snapshots.get(volume.lvolid) ?? []).map(({ lvolid }) => ({
        lvolid,
        type: "snapshot",
      })),
      fault: volume.snapshot_lost === 1 || degraded.has(volume.lvolid),
      bind_status: binding.bind_status,
      bind_event: binding.bind_event,
      ctime: showTime(volume.ctime),
      bind_error: attachment.bind_error,
      snapshot_status: snapshotStatusName(volume),
    };
  });
};

/** How a volume is built. @throws VasError EINVAL if none is named, ENOENT if it is not there. */
export const showVolume: Operation<VolumeRef, VolumeNode | SnapshotNode> = async (tx, ref) => {
  const volume = await resolveVolume(tx, ref);
  return isSnapshot(volume)
    ? readSnapshotTree(tx, volume, await attachmentOf(tx, volume))
    : readLayoutTree(tx, volume, isListed);
};
