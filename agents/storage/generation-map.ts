import type { Gigabytes } from "../../shared/units.js";

/** Part of a disk, in extent units: `start` to before `end`. */
export interface Span {
  readonly start: Gigabytes;
  readonly end: Gigabytes;
}

/** What is known of a part of a disk. */
export interface GenerationRun extends Span {
  /** The highest generation that a grant or a shred of this space carried. */
  readonly generation: number;
  /** It was overwritten with zeros under this generation, durably, and not granted since. */
  readonly zeroed: boolean;
}

/**
 * The generations of a disk's space, run-length coded. Invariant: runs are sorted, do not overlap, are not empty, and no
 * two neighbours that touch are equal; space without a run has generation 0 and is not zeroed.
 */
export type GenerationMap = readonly GenerationRun[];

/** Space that was never heard of counts as written. */
const UNKNOWN = { generation: 0, zeroed: false } as const;

/** The highest generation known for any part of a span. */
export function highestGeneration(map: GenerationMap, span: Span): number {
  return Math.max(0, ...overlapping(map, span).map((run) => run.generation));
}

/** Whether all of a span was shredded under just this generation. */
export function isZeroed(map: GenerationMap, span: Span, generation: number): boolean {
  const runs = overlapping(map, span);
  const covered = runs.reduce(
    (sum, run) => sum + Math.min(run.end, span.end) - Math.max(run.start, span.start),
    0,
  );
  return (
    covered === span.end - span.start && runs.every((run) => run.zeroed && run.generation === generation)
  );
}

/** The map after this run was set. */
export function setRun(map: GenerationMap, run: GenerationRun): GenerationMap {
  const result: GenerationRun[] = [];
  const before = map.flatMap((old) => clip(old, 0, run.start));
  const after = map.flatMap((old) => clip(old, run.end, Number.POSITIVE_INFINITY));
  for (const next of [...before, run, ...after]) {
    const last = result.at(-1);
    if (last !== undefined && last.end === next.start && isSame(last, next)) {
      result[result.length - 1] = { ...last, end: next.end };
    } else if (!isSame(next, UNKNOWN)) {
      result.push(next);
    }
  }
  return result;
}

/** The part of a run between two places; nothing if it has none there. */
function clip(run: GenerationRun, from: Gigabytes, to: Gigabytes): GenerationRun[] {
  const start = Math.max(run.start, from);
  const end = Math.min(run.end, to);
  return start < end ? [{ ...run, start, end }] : [];
}

function overlapping(map: GenerationMap, span: Span): GenerationRun[] {
  return map.filter((run) => run.start < span.end && span.start < run.end);
}

function isSame(
  a: Pick<GenerationRun, "generation" | "zeroed">,
  b: Pick<GenerationRun, "generation" | "zeroed">,
): boolean {
  return a.generation === b.generation && a.zeroed === b.zeroed;
}
