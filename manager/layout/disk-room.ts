import type { Gigabytes } from "../../shared/units.js";
import type { Candidate, FreeRun } from "./candidates.js";
import { type Ranked, rank } from "./rank.js";
import type { Load, Weight } from "./weights.js";

const shortestFirst = (a: FreeRun, b: FreeRun): number => a.length - b.length || a.offset - b.offset;

/**
 * The free space of one disk while a plan is made. Members of one length are placed at a time; the smallest run that
 * holds one is used up first, which keeps the large ones for large members.
 */
export class DiskRoom implements Load, Ranked {
  keys: readonly number[] = [];
  free: Gigabytes;
  #length: Gigabytes = 1;
  /** Sorted when first looked at: of thousands of disks a plan uses few. */
  #runs: { offset: Gigabytes; length: Gigabytes }[] | undefined;
  /** Runs before it are too short for the length. */
  #next = 0;

  constructor(readonly candidate: Candidate) {
    this.free = candidate.free.reduce((sum, run) => sum + run.length, 0);
  }

  get id(): number {
    return this.candidate.pdskid;
  }

  get capacity(): Gigabytes {
    return this.candidate.capacity;
  }

  get resyncs(): number {
    return this.candidate.resyncs;
  }

  /** Free runs as they are now. */
  get runs(): readonly FreeRun[] {
    return this.#runs?.filter((run) => run.length > 0) ?? this.candidate.free;
  }

  /** From now on members of this length are placed. */
  begin(length: Gigabytes): void {
    this.#length = length;
    this.#next = 0;
    this.#runs?.sort(shortestFirst);
  }

  rank(weights: readonly Weight[]): void {
    this.keys = rank(this, this.#length, weights);
  }

  hasRoom(): boolean {
    if (this.free < this.#length) return false;
    this.#runs ??= this.candidate.free.map((run) => ({ ...run })).sort(shortestFirst);
    for (; this.#next < this.#runs.length; this.#next++) {
      const run = this.#runs[this.#next];
      if (run !== undefined && run.length >= this.#length) return true;
    }
    return false;
  }

  /** Takes the place of one member. Only after `hasRoom` said yes. @returns its offset. */
  take(): Gigabytes {
    const run = this.#runs?.[this.#next];
    if (run === undefined || run.length < this.#length)
      throw new Error(`disk ${this.id} has no run of ${this.#length} GB`);
    const { offset } = run;
    run.offset += this.#length;
    run.length -= this.#length;
    this.free -= this.#length;
    return offset;
  }
}
