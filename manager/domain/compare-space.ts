import { showDisk, showExtent } from "../../shared/ids.js";
import type { KnownGeneration } from "../../shared/methods/agent-methods.js";
import { MemberStatus } from "../../shared/states.js";
import type { StorageView } from "./compare-holdings.js";
import type { Difference } from "./difference.js";

interface Place {
  readonly pdskid: number;
  readonly offset: number;
  readonly length: number;
}

/**
 * What a server knows of its space is not newer than what was given out (R4): it would refuse to grant or shred it for ever.
 * Its disk's own generation is the bound where there is no extent.
 */
export function generationsAhead(view: StorageView, runs: readonly KnownGeneration[]): Difference[] {
  const ofDisks = runs.flatMap(({ pdskid, offset, generation }) => {
    const disk = view.disks.get(pdskid);
    if (disk === undefined || generation <= disk.generation) return [];
    const sentence = `${showDisk(pdskid)} has generation ${generation} at ${offset} GB, but only ${disk.generation} were given out: is this an old backup?`;
    return [{ sentence, stamp: `${disk.generation}` }];
  });
  const ofExtents = overlaps([...view.extents.values()], runs).flatMap(([extent, run]) => {
    if (run.generation <= extent.generation) return [];
    const sentence = `${showExtent(extent.dextid)} has generation ${extent.generation}, but its server knows ${run.generation} at ${run.offset} GB of ${showDisk(run.pdskid)}`;
    return [{ sentence, stamp: `${extent.status}` }];
  });
  return [...ofDisks, ...ofExtents];
}

/**
 * What is clean as far as the state is concerned was not written since its shred (D5). Of space that its server never heard
 * of it can't tell: the disk may have come from another server.
 */
export function writtenFreeSpace(view: StorageView, runs: readonly KnownGeneration[]): Difference[] {
  const unused = [...view.extents.values()].filter(({ status }) => status === MemberStatus.ALLOCATED);
  const written = runs.filter(({ zeroed }) => !zeroed);
  return overlaps<Place>([...view.free, ...unused], written).map(([place, run]) => {
    const from = Math.max(place.offset, run.offset);
    const to = Math.min(place.offset + place.length, run.offset + run.capacity);
    const sentence = `${from}..${to} GB of ${showDisk(run.pdskid)} count as clean, but their server may have let them be written under generation ${run.generation}`;
    return { sentence, stamp: `${place.offset} ${place.length}` };
  });
}

/** Every pair of a place and a run that share space. Places do not overlap each other, nor do runs. */
function overlaps<P extends Place>(
  places: readonly P[],
  runs: readonly KnownGeneration[],
): [P, KnownGeneration][] {
  const byPlace = (a: Omit<Place, "length">, b: Omit<Place, "length">): number =>
    a.pdskid - b.pdskid || a.offset - b.offset;
  const sorted = [...places].sort(byPlace);
  const ordered = [...runs].sort(byPlace);
  const pairs: [P, KnownGeneration][] = [];
  let first = 0;
  for (const place of sorted) {
    while (first < ordered.length && isBefore(ordered[first] as KnownGeneration, place)) first += 1;
    for (let at = first; at < ordered.length; at += 1) {
      const run = ordered[at] as KnownGeneration; // `at` is within
      if (run.pdskid !== place.pdskid || run.offset >= place.offset + place.length) break;
      pairs.push([place, run]);
    }
  }
  return pairs;
}

function isBefore(run: KnownGeneration, place: Place): boolean {
  if (run.pdskid !== place.pdskid) return run.pdskid < place.pdskid;
  return run.offset + run.capacity <= place.offset;
}
