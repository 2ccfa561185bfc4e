import type { KnownGeneration, StorageHoldings } from "../../shared/methods/agent-methods.js";
import type { Grants } from "./grants.js";
import type { Inventory } from "./inventory.js";

/** What one answer holds at most, so that it stays far below what a caller takes: an extent is some 400 bytes of XML. */
const MAX_EXTENTS = 5_000;
const MAX_RUNS = 10_000;

/**
 * What this server lets volumes touch, from the volume after `after` on. An answer has at least one volume, whole, if there
 * is one.
 */
export function listHoldings(
  inventory: Pick<Inventory, "states">,
  grants: Pick<Grants, "granted">,
  after = 0,
): StorageHoldings {
  const left = grants.granted().filter(({ lvolid }) => lvolid > after);
  const page: StorageHoldings["grants"][number][] = [];
  let extents = 0;
  for (const { lvolid, revoked, grant } of left) {
    extents += grant.extents.length;
    if (page.length > 0 && extents > MAX_EXTENTS) break;
    page.push({ lvolid, revoked, ...grant });
  }
  const disks = inventory.states().map((disk) => ({ ...disk, served: disk.why === "" }));
  return { disks, grants: page, more: page.length < left.length };
}

/** What is known of the space of the disks here, from what comes after a place on. */
export function listGenerations(
  grants: Pick<Grants, "generations">,
  after: { readonly pdskid: number; readonly offset: number },
): { runs: KnownGeneration[]; more: boolean } {
  const runs: KnownGeneration[] = [];
  for (const [pdskid, map] of grants.generations()) {
    if (pdskid < after.pdskid) continue;
    for (const { start, end, generation, zeroed } of map) {
      if (pdskid === after.pdskid && start <= after.offset) continue;
      if (runs.length === MAX_RUNS) return { runs, more: true };
      runs.push({ pdskid, offset: start, capacity: end - start, generation, zeroed });
    }
  }
  return { runs, more: false };
}
