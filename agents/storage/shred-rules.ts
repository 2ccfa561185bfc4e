import { VasError } from "../../shared/errors.js";
import { showDisk, showVolume } from "../../shared/ids.js";
import type { Gigabytes } from "../../shared/units.js";
import { type GenerationMap, highestGeneration, isZeroed, type Span, setRun } from "./generation-map.js";
import { type AccessState, type DiskSpace, overlap, spanOf } from "./grant-rules.js";

/** What is to be overwritten: offset and capacity in extent units of 1025 MiB. */
export interface ShredTarget {
  readonly pdskid: number;
  readonly offset: Gigabytes;
  readonly capacity: Gigabytes;
  readonly generation: number;
}

/** The disk of a target. @throws VasError ENOENT if it is not here, EINVAL if the target ends beyond it */
export function diskOfTarget(state: AccessState, target: Omit<ShredTarget, "generation">): DiskSpace {
  const disk = state.disks.get(target.pdskid);
  if (disk === undefined) throw new VasError("ENOENT", `${showDisk(target.pdskid)} is not served here`);
  const { end } = spanOf(target);
  if (end > disk.usable) {
    throw new VasError(
      "EINVAL",
      `the space ends at ${end} GB of ${showDisk(target.pdskid)}, which has ${disk.usable}`,
    );
  }
  return disk;
}

/**
 * Decides on a shred.
 *
 * @returns the disk's generations, raised; undefined if all of it was shredded under this generation already
 * @throws VasError ENOENT, EINVAL, ESTALE, EBUSY as docs/agent-protocol.md says
 */
export function decideShred(state: AccessState, target: ShredTarget): GenerationMap | undefined {
  const disk = diskOfTarget(state, target);
  const span = spanOf(target);
  const newest = highestGeneration(disk.generations, span);
  if (target.generation < newest) {
    throw new VasError("ESTALE", `the shred has generation ${target.generation}, the space has ${newest}`);
  }
  for (const { lvolid, grant } of state.volumes.values()) {
    if (grant?.extents.some((extent) => extent.pdskid === target.pdskid && overlap(spanOf(extent), span))) {
      throw new VasError(
        "EBUSY",
        `${showVolume(lvolid)} may use this space of ${showDisk(target.pdskid)}: revoke that first`,
      );
    }
  }
  if (disk.shredding.some((other) => overlap(other, span))) {
    throw new VasError("EBUSY", `part of this space of ${showDisk(target.pdskid)} is being shredded`);
  }
  const { generation } = target;
  if (isZeroed(disk.generations, span, generation)) return undefined;
  // What this very shred had zeroed before it was interrupted is zero still: a grant in between would have said otherwise.
  const kept = zeroedParts(disk.generations, span, generation);
  const raised = setRun(disk.generations, { ...span, generation, zeroed: false });
  return kept.reduce((map, part) => setRun(map, { ...part, generation, zeroed: true }), raised);
}

/** The parts of a span that a shred of this generation has still to do. */
export function unzeroedParts(map: GenerationMap, span: Span, generation: number): Span[] {
  const parts: Span[] = [];
  let { start } = span;
  for (const done of zeroedParts(map, span, generation)) {
    if (start < done.start) parts.push({ start, end: done.start });
    start = done.end;
  }
  if (start < span.end) parts.push({ start, end: span.end });
  return parts;
}

function zeroedParts(map: GenerationMap, span: Span, generation: number): Span[] {
  return map
    .filter((run) => run.zeroed && run.generation === generation && overlap(run, span))
    .map((run) => ({ start: Math.max(run.start, span.start), end: Math.min(run.end, span.end) }));
}
