import { showDisk, showExtent, showMirror, showStorageServer, showVolume } from "../../shared/ids.js";
import {
  type ExtentNode,
  linearOf,
  type MirrorNode,
  type SnapshotNode,
  type VolumeNode,
} from "../../shared/layout-tree.js";
import { MemberStatus } from "../../shared/states.js";
import { printf, showGb } from "./printf.js";

const FORMAT = "%-14s %8s %8s | %-14s %-14s %8s %-14s %-5s";

/** An extent that waits for its shred shows as ALLOCATED, as it does on the wire. */
const statusNames: Readonly<Record<number, string>> = {
  [MemberStatus.ALLOCATED]: "ALLOCATED",
  [MemberStatus.INSYNC]: "INSYNC",
  [MemberStatus.SPARE]: "SPARE",
  [MemberStatus.FAULTY]: "FAULTY",
  [MemberStatus.NEEDSHRED]: "ALLOCATED",
};

function extentLine({ lvolid, lvolspec, mirror_status }: ExtentNode): string {
  return printf(
    FORMAT,
    "",
    "",
    "",
    showExtent(lvolid),
    showDisk(lvolspec.pdskid),
    showGb(lvolspec.offset),
    showStorageServer(lvolspec.ssvrid),
    statusNames[mirror_status] ?? mirror_status,
  );
}

function mirrorLines(mirror: MirrorNode, offset: number): string[] {
  const own = printf(FORMAT, showMirror(mirror.lvolid), showGb(offset), showGb(mirror.capacity));
  return [own, ...mirror.components.map(extentLine)];
}

/** The output of `lvol_show`. Offsets of mirrors are those in the volume, offsets of extents those on their disks. */
export function formatLayout(volume: VolumeNode | SnapshotNode): string[] {
  const { lvolname, redundancy } = volume.lvolspec;
  const lines = [
    `lvolid: ${showVolume(volume.lvolid)} lvol_name: ${lvolname} capacity: ${showGb(volume.capacity)} redundancy: ${redundancy}`,
    printf(
      FORMAT,
      "mirror",
      "offset",
      "capacity",
      "disk-extent",
      "physical-disk",
      "offset",
      "server",
      "sync",
    ),
  ];
  let offset = 0;
  for (const mirror of linearOf(volume).components) {
    lines.push(...mirrorLines(mirror, offset));
    offset += mirror.capacity;
  }
  return lines;
}
