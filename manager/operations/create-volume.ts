import { VasError } from "../../shared/errors.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { BindEvent, BindStatus, MemberStatus } from "../../shared/states.js";
import { planVolume } from "../layout/plan-volume.js";
import { raiseGeneration } from "../store/disks.js";
import { type ExtentRow, insertExtents } from "../store/extents.js";
import { takeRanges } from "../store/free-ranges.js";
import type { Tx } from "../store/open-store.js";
import { takeIds } from "../store/sequences.js";
import { findVolumeByName, insertMirrors, insertVolume } from "../store/volumes.js";
import type { Operation } from "./operation.js";
import { placementCandidates } from "./placement-candidates.js";

const DEFAULT_REDUNDANCY = 3;

/**
 * Sets the space of a volume aside: a chain of mirrors, each with `redundancy` extents on different servers.
 *
 * @returns lvolid
 */
export const createVolume: Operation<ParamsOf<typeof apiMethods.createLogicalVolume>, number> = async (
  tx,
  params,
  context,
) => {
  const redundancy = params.redundancy ?? DEFAULT_REDUNDANCY;
  if ((await findVolumeByName(tx, params.lvolname)) !== undefined) {
    throw new VasError("EEXIST", `there is already a volume named "${params.lvolname}"`);
  }
  const plan = planVolume({
    capacity: params.capacity,
    redundancy,
    sizes: context.settings.extent_sizes_gb,
    candidates: await placementCandidates(tx),
  });

  const ids = await takeIds(tx, "lvol", 2 + plan.mirrors.length * (1 + redundancy));
  let taken = 0;
  const nextId = (): number => ids[taken++] as number; // takeIds gives exactly as many as are used here
  const lvolid = nextId();
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
    lvolname: params.lvolname,
    linearid,
    redundancy,
    capacity: params.capacity,
    ctime: context.now,
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    bind_error: "",
    hsvrid: null,
    epoch: 0,
    epoch_open: 0,
    bind_number: 0,
    grant_version: 0,
  });
  await insertMirrors(
    tx,
    mirrors.map((mirror) => ({
      mirrorid: mirror.mirrorid,
      lvolid,
      offset: mirror.offset,
      length: mirror.length,
      version: 1,
    })),
  );
  await insertExtents(tx, extents);
  return lvolid;
};

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
