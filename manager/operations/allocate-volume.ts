import { BindEvent, BindStatus, MemberStatus, SnapshotStatus } from "../../shared/states.js";
import type { Gigabytes } from "../../shared/units.js";
import { planVolume } from "../layout/plan-volume.js";
import { raiseGeneration } from "../store/disks.js";
import { type ExtentRow, insertExtents } from "../store/extents.js";
import { takeRanges } from "../store/free-ranges.js";
import type { Tx } from "../store/open-store.js";
import { takeIds } from "../store/sequences.js";
import { insertMirrors, insertVolume, type VolumeRow } from "../store/volumes.js";
import type { OperationContext } from "./operation.js";
import { placementCandidates } from "./placement-candidates.js";

export interface VolumeToAllocate {
  readonly lvolname: string;
  readonly capacity: Gigabytes;
  readonly redundancy: number;
  /** What makes it a snapshot. */
  readonly snapshot?: Pick<VolumeRow, "origin_lvolid" | "snapshot_status">;
}

/**
 * Part of an operation: sets space aside for a volume, a chain of mirrors, each with `redundancy` extents on different
 * servers, and writes its rows.
 *
 * @returns lvolid
 * @throws VasError ENOSPC
 */
export async function allocateVolume(
  tx: Tx,
  wish: VolumeToAllocate,
  context: OperationContext,
): Promise<number> {
  const { lvolname, capacity, redundancy, snapshot } = wish;
  const plan = planVolume({
    capacity,
    redundancy,
    sizes: context.settings.extent_sizes_gb,
    candidates: await placementCandidates(tx),
  });

  const layers = snapshot === undefined ? 0 : 1;
  const ids = await takeIds(tx, "lvol", 2 + layers + plan.mirrors.length * (1 + redundancy));
  let taken = 0;
  const nextId = (): number => ids[taken++] as number; // takeIds gives exactly as many as are used here
  const lvolid = nextId();
  const layerid = snapshot === undefined ? null : nextId();
  const linearid = nextId();
  const mirrors = plan.mirrors.map((mirror) => ({ ...mirror, mirrorid: nextId() }));
  const extents: ExtentRow[] = [];
  const nextGeneration = await takeGenerations(
    tx,
    mirrors.flatMap((mirror) => mirror.members),
  );
  for (const mirror of mirrors) {
    for (const member of mirror.members) {
      extents.push({
        dextid: nextId(),
        pdskid: member.pdskid,
        offset: member.offset,
        length: mirror.length,
        generation: nextGeneration(member.pdskid),
        mirrorid: mirror.mirrorid,
        status: MemberStatus.ALLOCATED,
        failures: 0,
        lost: 0,
        last_lvolid: null,
      });
    }
  }
  await takeRanges(tx, extents);

  await insertVolume(tx, {
    lvolid,
    lvolname,
    linearid,
    redundancy,
    capacity,
    ctime: context.now,
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    bind_error: "",
    hsvrid: null,
    maintenance: 0,
    epoch: 0,
    epoch_open: 0,
    bind_number: 0,
    grant_version: 0,
    layerid,
    origin_lvolid: null,
    snapshot_status: SnapshotStatus.NONE,
    snapshot_lost: 0,
    ...snapshot,
  });
  await insertMirrors(
    tx,
    mirrors.map((mirror) => ({
      mirrorid: mirror.mirrorid,
      lvolid,
      offset: mirror.offset,
      length: mirror.length,
      version: 1,
      short: 0,
      surplus: 0,
    })),
  );
  await insertExtents(tx, extents);
  return lvolid;
}

/** Raises the generation of each disk once, by as many as it gives extents. @returns the next one of a disk. */
async function takeGenerations(
  tx: Tx,
  members: readonly { readonly pdskid: number }[],
): Promise<(pdskid: number) => number> {
  const counts = new Map<number, number>();
  for (const { pdskid } of members) counts.set(pdskid, (counts.get(pdskid) ?? 0) + 1);
  const next = new Map<number, number>();
  for (const [pdskid, count] of counts)
    next.set(pdskid, (await raiseGeneration(tx, pdskid, count)) - count + 1);
  return (pdskid) => {
    const generation = next.get(pdskid) ?? 0;
    next.set(pdskid, generation + 1);
    return generation;
  };
}
