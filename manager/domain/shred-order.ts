import type { Gigabytes } from "../../shared/units.js";

/** Space that waits for its shred. */
export interface WaitingSpace {
  readonly dextid: number;
  /** It held data of a volume; otherwise it is the space of a disk that is new or has grown. */
  readonly returned: boolean;
  /** Clean space of its disk now. */
  readonly clean: Gigabytes;
  /** Size of its disk. */
  readonly capacity: Gigabytes;
}

/** A disk with less than this share of clean space is short of it. */
const SHORT_SHARE = 0.25;

/**
 * Ids that space in need gets ahead of its age. Ids are given out in order, so a lower one is older, and no more than a
 * certain number of pieces can ever come before any other: what is not in need waits longer, but not for ever.
 */
const LEAD = 10_000;

/**
 * The order in which space is shredded: what was returned on disks that are short of clean space first, so that the large
 * space of new disks does not keep volumes from being made there; apart from that the oldest first.
 */
export function shredOrder<Space extends WaitingSpace>(waiting: readonly Space[]): Space[] {
  return waiting.toSorted((a, b) => turnOf(a) - turnOf(b));
}

function turnOf({ dextid, returned, clean, capacity }: WaitingSpace): number {
  return returned && clean < capacity * SHORT_SHARE ? dextid - LEAD : dextid;
}
