import { linearOf, type SnapshotNode, type VolumeNode } from "../../shared/layout-tree.js";

/** All disk extents of a volume, mirror by mirror. */
export function membersOf(volume: VolumeNode | SnapshotNode) {
  return mirrorsOf(volume).flatMap((mirror) => mirror.components);
}

export function mirrorsOf(volume: VolumeNode | SnapshotNode) {
  return linearOf(volume).components;
}
