import { showExtent, showMirror } from "../../shared/ids.js";
import type { ParsedExtent, ParsedMirror, ParsedVolume } from "../../shared/layout-tree.js";
import type { MirrorState } from "../../shared/methods/manager-methods.js";
import { MemberStatus } from "../../shared/states.js";
import type { ManagerClient } from "../common/manager-client.js";

/** Extents that the tree may lack, since they were to join after it was told. */
export type Joining = readonly { readonly mirrorid: number; readonly extent: ParsedExtent }[];

/** The manager counts on a member whose place is not known here: a start without it would lose acknowledged writes. */
export class UnknownMemberError extends Error {
  override readonly name = "UnknownMemberError";
}

/** Mirrors asked for at a time. */
const AT_ONCE = 16;

/**
 * The tree with the members and versions that hold now (D2: a start must not trust what held before). Reports of the
 * process before, which may still be on their way, are refused from now on.
 *
 * @throws UnknownMemberError
 * @throws VasError ESTALE or ENOENT if the epoch is closed; else as `ManagerClient.call`
 */
export async function refreshTree(
  manager: ManagerClient,
  epoch: number,
  volume: ParsedVolume,
  joining: Joining,
): Promise<ParsedVolume> {
  const [linear] = volume.components;
  const mirrors: ParsedMirror[] = [];
  for (let from = 0; from < linear.components.length; from += AT_ONCE) {
    const asked = linear.components.slice(from, from + AT_ONCE).map(async (mirror) => {
      const params = { lvolid: volume.lvolid, epoch, mirrorid: mirror.lvolid, starting: true };
      return applyMirrorState(mirror, await manager.call("getMirror", params), joining);
    });
    mirrors.push(...(await Promise.all(asked)));
  }
  return { ...volume, components: [{ ...linear, components: mirrors }] };
}

/** One mirror as the manager has it. Members that are not INSYNC and not known here are left out: they are not used. */
export function applyMirrorState(mirror: ParsedMirror, state: MirrorState, joining: Joining): ParsedMirror {
  const known = new Map<number, ParsedExtent>();
  for (const { mirrorid, extent } of joining)
    if (mirrorid === mirror.lvolid) known.set(extent.lvolid, extent);
  for (const extent of mirror.components) known.set(extent.lvolid, extent);
  const components = state.members.flatMap(({ dextid, mirror_status }) => {
    const extent = known.get(dextid);
    if (extent !== undefined)
      return [{ ...extent, mirror_status: mirror_status as ParsedExtent["mirror_status"] }];
    if (mirror_status !== MemberStatus.INSYNC) return [];
    throw new UnknownMemberError(
      `${showExtent(dextid)} of ${showMirror(mirror.lvolid)} is INSYNC and not known here`,
    );
  });
  return { ...mirror, lvolspec: { ...mirror.lvolspec, version: state.version }, components };
}
