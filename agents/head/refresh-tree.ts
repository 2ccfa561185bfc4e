import { VasError } from "../../shared/errors.js";
import { showExtent, showMirror } from "../../shared/ids.js";
import {
  linearOf,
  mapMirrors,
  type ParsedExtent,
  type ParsedMirror,
  type ParsedVolume,
} from "../../shared/layout-tree.js";
import type { MirrorState } from "../../shared/methods/manager-methods.js";
import { MemberStatus } from "../../shared/states.js";
import type { ManagerClient } from "../common/manager-client.js";
import { keepSnapshots } from "./snapshots-of-tree.js";

/** Extents that the tree may lack, since they were to join after it was told. */
export type Joining = readonly { readonly mirrorid: number; readonly extent: ParsedExtent }[];

/** The manager counts on a member whose place is not known here: a start without it would lose acknowledged writes. */
export class UnknownMemberError extends Error {
  override readonly name = "UnknownMemberError";
}

/** Mirrors asked for at a time. */
const AT_ONCE = 16;

/**
 * The tree with the snapshots, members and versions that hold now (D2: a start must not trust what held before). Reports of
 * the process before, which may still be on their way, are refused from now on.
 *
 * @throws UnknownMemberError
 * @throws VasError ESTALE or ENOENT if the epoch is closed; else as `ManagerClient.call`
 */
export async function refreshTree(
  manager: ManagerClient,
  epoch: number,
  known: ParsedVolume,
  joining: Joining,
): Promise<ParsedVolume> {
  const volume = await refreshSnapshots(manager, epoch, known);
  const { lvolid } = volume;
  const ask = (mirrors: readonly ParsedMirror[]) =>
    refreshMirrors(manager, { lvolid, epoch }, mirrors, joining);
  const current = await ask(linearOf(volume).components);
  const lost = new Set<number>();
  for (const snapshot of volume.lvolspec.assoc) {
    try {
      for (const [id, mirror] of await ask(linearOf(snapshot).components)) current.set(id, mirror);
    } catch (error) {
      // A snapshot may have been deleted since it was asked for. Whatever it is, that is no reason to give up its origin.
      if (error instanceof VasError && error.errno === "ENOENT")
        throw new VasError("EAGAIN", error.sentence, { cause: error });
      if (!(error instanceof UnknownMemberError)) throw error;
      await giveUpSnapshot(manager, { lvolid, epoch }, snapshot.lvolid, error.message);
      lost.add(snapshot.lvolid);
    }
  }
  const kept = keepSnapshots(volume, (snapshot) => !lost.has(snapshot.lvolid));
  return mapMirrors(kept, (mirror) => current.get(mirror.lvolid) ?? mirror);
}

interface EpochRef {
  readonly lvolid: number;
  readonly epoch: number;
}

/** The mirrors as the manager has them, by id. */
async function refreshMirrors(
  manager: ManagerClient,
  ref: EpochRef,
  mirrors: readonly ParsedMirror[],
  joining: Joining,
): Promise<Map<number, ParsedMirror>> {
  const current = new Map<number, ParsedMirror>();
  for (let from = 0; from < mirrors.length; from += AT_ONCE) {
    const asked = mirrors.slice(from, from + AT_ONCE).map(async (mirror) => {
      const params = { ...ref, mirrorid: mirror.lvolid, starting: true };
      return applyMirrorState(mirror, await manager.call("getMirror", params), joining);
    });
    for (const mirror of await Promise.all(asked)) current.set(mirror.lvolid, mirror);
  }
  return current;
}

/** Nothing would be kept for it: it is recorded as lost before its origin is served. */
async function giveUpSnapshot(
  manager: ManagerClient,
  ref: EpochRef,
  snapshot_lvolid: number,
  reason: string,
): Promise<void> {
  await manager.call("reportSnapshotFailure", { ...ref, snapshot_lvolid, reason }).catch((error: unknown) => {
    // Deleted meanwhile.
    if (!(error instanceof VasError && error.errno === "ENOENT")) throw error;
  });
}

/**
 * The volume with the snapshots that the manager still counts on. One that it counts on and that is not known here is
 * given up: nothing would be kept for it.
 */
async function refreshSnapshots(
  manager: ManagerClient,
  epoch: number,
  volume: ParsedVolume,
): Promise<ParsedVolume> {
  const { lvolid } = volume;
  const states = await manager.call("getSnapshots", { lvolid, epoch });
  const wanted = new Map(
    states
      .filter(({ snapshot_status }) => snapshot_status === "VALID" || snapshot_status === "CREATING")
      .map(({ snapshot_lvolid, snapshot_status }) => [snapshot_lvolid, snapshot_status]),
  );
  // Its head may have dropped it, and writes go on without it: were its deletion refused after all, it must not be VALID.
  for (const { snapshot_lvolid, snapshot_status } of states) {
    if (snapshot_status !== "DELETING") continue;
    await giveUpSnapshot(manager, { lvolid, epoch }, snapshot_lvolid, "its head server had begun to end it");
  }
  const here = new Set(volume.lvolspec.assoc.map((snapshot) => snapshot.lvolid));
  for (const [snapshot_lvolid, status] of wanted) {
    if (here.has(snapshot_lvolid) || status !== "VALID") continue;
    await giveUpSnapshot(manager, { lvolid, epoch }, snapshot_lvolid, "its head server lost track of it");
  }
  return keepSnapshots(volume, (snapshot) => wanted.has(snapshot.lvolid));
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
