import { showDisk, showExtent, showHeadServer, showMirror, showVolume } from "../../shared/ids.js";
import { isSnapshot, type Snapshot } from "./snapshot-rules.js";
import { nameVolume } from "./volume-rules.js";

/** What jobs are about, in words that are kept for as long as the job is, whatever becomes of its subject. */
interface Named {
  readonly lvolid: number;
  readonly lvolname: string;
}
interface Extent {
  readonly dextid: number;
  readonly pdskid: number;
  readonly length: number;
}

/** As in `shred of dext-00000005 on pdsk-00000001 (10 GB)`. */
export function describeExtent({ dextid, pdskid, length }: Extent): string {
  return `${showExtent(dextid)} on ${showDisk(pdskid)} (${length} GB)`;
}

/** A member and the volume or snapshot that it is a copy for. */
export function describeMember(member: Extent & { readonly mirrorid: number }, owner: Snapshot): string {
  const what = isSnapshot(owner) ? "snapshot" : "volume";
  return `${describeExtent(member)}, mirror ${showMirror(member.mirrorid)} of ${what} ${owner.lvolname}`;
}

/** A snapshot and the volume that it was taken of. */
export function describeSnapshot(snapshot: Named, origin: Named): string {
  return `snapshot ${snapshot.lvolname} (${showVolume(snapshot.lvolid)}) of volume ${origin.lvolname}`;
}

/** A volume that goes `to`, or is taken `from`, or is `at` a head server. */
export function describeBinding(volume: Named, where: "to" | "from" | "at", hsvrid: number | null): string {
  return `${nameVolume(volume)} ${where} ${hsvrid === null ? "no head server" : showHeadServer(hsvrid)}`;
}
