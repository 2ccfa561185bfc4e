import type { Gigabytes } from "../../shared/units.js";

/** What the weights look at: a disk, or a server as the sum of its disks. */
export interface Load {
  readonly id: number;
  readonly capacity: Gigabytes;
  readonly free: Gigabytes;
  /** Running resyncs per disk. */
  readonly resyncs: number;
}

/** A number by which one load is better than another for a member of this length: the lower, the better. */
export type Weight = (load: Load, length: Gigabytes) => number;

/**
 * The used share, with half of the new member counted in: a disk that holds ten members is then filled in step with
 * one that holds a thousand, neither first nor last.
 */
export const usedShare: Weight = (load, length) => 1 - (load.free - length / 2) / load.capacity;

/** In steps of 1 %, so that within a step the next weight decides. */
export const usedPercent: Weight = (load, length) => Math.floor(usedShare(load, length) * 100);

export const runningResyncs: Weight = (load) => load.resyncs;

/** Most members that still fit first. */
export const lackOfRoom: Weight = (load, length) => -Math.floor(load.free / length);

/**
 * Decides between equals as if by chance, but the same for the same state: in the order of ids the same servers would
 * be partners in all mirrors, and the rebuild after a failure would be the work of few.
 */
export const spread: Weight = (load) => {
  // The finalizer of MurmurHash3, over the id and the free space.
  let hash = Math.imul(load.id, 0x9e3779b1) ^ load.free;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
};

const byId: Weight = (load) => load.id;

/** First difference decides. Keeps every server and disk used in proportion to its size. */
export const proportional: readonly Weight[] = [usedPercent, runningResyncs, usedShare, spread, byId];

/**
 * For what the proportional way finds no room for: pairing the emptiest first leaves the least space stranded on
 * servers that have no partner left.
 */
export const thrifty: readonly Weight[] = [lackOfRoom, runningResyncs, spread, byId];
