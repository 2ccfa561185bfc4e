import type { Candidate, FreeRun, Place } from "../../manager/layout/candidates.js";
import { Priority } from "../../shared/states.js";

/** A disk as the tests build it; what is left out is HIGH, idle, in zone "" and wholly free. */
export type DiskShape = Pick<Candidate, "pdskid" | "ssvrid" | "capacity"> & Partial<Candidate>;

export function disk(shape: DiskShape): Candidate {
  return {
    zone: "",
    priority: Priority.HIGH,
    serverPriority: Priority.HIGH,
    resyncs: 0,
    free: [{ offset: 0, length: shape.capacity }],
    ...shape,
  };
}

/** Free space of disks, gigabyte by gigabyte; throws when a plan takes what is not free. */
export class DiskModel {
  readonly #free = new Map<number, boolean[]>();

  constructor(readonly disks: readonly Candidate[]) {
    for (const { pdskid, capacity, free } of disks) {
      const bits = Array.from({ length: capacity }, () => false);
      for (const { offset, length } of free) bits.fill(true, offset, offset + length);
      this.#free.set(pdskid, bits);
    }
  }

  take(place: Place, length: number): void {
    const bits = this.#bitsOf(place.pdskid);
    const wanted = bits.slice(place.offset, place.offset + length);
    if (wanted.length !== length || wanted.includes(false))
      throw new Error(`not free: ${JSON.stringify(place)}`);
    bits.fill(false, place.offset, place.offset + length);
  }

  giveBack(place: Place, length: number): void {
    this.#bitsOf(place.pdskid).fill(true, place.offset, place.offset + length);
  }

  used(pdskid: number): number {
    return this.#bitsOf(pdskid).reduce((sum, free) => sum + (free ? 0 : 1), 0);
  }

  hasRun(pdskid: number, length: number): boolean {
    return this.#runsOf(pdskid).some((run) => run.length >= length);
  }

  candidates(): Candidate[] {
    return this.disks.map((one) => ({ ...one, free: this.#runsOf(one.pdskid) }));
  }

  #bitsOf(pdskid: number): boolean[] {
    const bits = this.#free.get(pdskid);
    if (bits === undefined) throw new Error(`no disk ${pdskid}`);
    return bits;
  }

  #runsOf(pdskid: number): FreeRun[] {
    const runs: { offset: number; length: number }[] = [];
    let open: { offset: number; length: number } | undefined;
    for (const [offset, free] of this.#bitsOf(pdskid).entries()) {
      if (!free) open = undefined;
      else if (open !== undefined) open.length++;
      else {
        open = { offset, length: 1 };
        runs.push(open);
      }
    }
    return runs;
  }
}
