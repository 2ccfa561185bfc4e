import { VasError } from "../../../shared/errors.js";
import { showMirror } from "../../../shared/ids.js";
import {
  linearOf,
  type ParsedExtent,
  type ParsedSnapshot,
  type ParsedVolume,
} from "../../../shared/layout-tree.js";
import { MemberStatus } from "../../../shared/states.js";
import { Mirror, type MirrorOptions } from "./mirror.js";

/**
 * The mirrors of a volume, or of a snapshot's copy-on-write space.
 *
 * @throws VasError EINVAL if one has two members on the same disk
 */
export function buildMirrors(
  volume: ParsedVolume | ParsedSnapshot,
  options: Omit<MirrorOptions, "lvolid" | "node">,
): Mirror[] {
  const { lvolid, components } = { ...linearOf(volume), lvolid: volume.lvolid };
  for (const node of components) checkDisks(node.lvolid, node.components);
  return components.map((node) => new Mirror({ ...options, lvolid, node }));
}

/** Two copies on one disk are one copy; one that is out of use is none. @throws VasError EINVAL */
function checkDisks(mirrorid: number, extents: readonly ParsedExtent[]): void {
  const disks = extents
    .filter(({ mirror_status: status }) => status === MemberStatus.INSYNC || status === MemberStatus.SPARE)
    .map(({ lvolspec }) => lvolspec.pdskid);
  if (new Set(disks).size < disks.length) {
    throw new VasError("EINVAL", `mirror ${showMirror(mirrorid)} has two members on the same disk`);
  }
}
