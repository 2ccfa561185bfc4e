import type { StorageServerId } from "../../shared/ids.js";
import type { Gigabytes } from "../../shared/units.js";
import type { Place } from "./candidates.js";
import type { DiskRoom } from "./disk-room.js";
import { Heap } from "./heap.js";
import { isBetter, type Ranked, rank } from "./rank.js";
import type { Load, Weight } from "./weights.js";

/** The usable disks of one storage server while a plan is made, the best of them on top. */
export class ServerRoom implements Load, Ranked {
  readonly id: StorageServerId;
  readonly zone: string;
  readonly capacity: Gigabytes;
  readonly resyncs: number;
  free: Gigabytes;
  keys: readonly number[] = [];
  #length: Gigabytes = 1;
  #weights: readonly Weight[] = [];
  /** Built when the first member is placed: of a thousand servers a plan may use few. */
  #order: Heap<DiskRoom> | undefined;

  /** @param disks of one server, at least one. */
  constructor(readonly disks: readonly DiskRoom[]) {
    const first = disks[0];
    if (first === undefined) throw new Error("a server without disks has no room");
    this.id = first.candidate.ssvrid;
    this.zone = first.candidate.zone;
    this.capacity = disks.reduce((sum, disk) => sum + disk.capacity, 0);
    this.free = disks.reduce((sum, disk) => sum + disk.free, 0);
    this.resyncs = disks.reduce((sum, disk) => sum + disk.resyncs, 0) / disks.length;
  }

  /** From now on members of this length are placed. */
  begin(length: Gigabytes, weights: readonly Weight[]): void {
    this.#length = length;
    this.#weights = weights;
    this.#order = undefined;
    for (const disk of this.disks) disk.begin(length);
    this.keys = rank(this, length, weights);
  }

  hasRoom(): boolean {
    return this.#order === undefined ? this.disks.some((disk) => disk.hasRoom()) : this.#best() !== undefined;
  }

  /** Takes the place of one member on the best disk. Only after `hasRoom` said yes. */
  take(): Place {
    const best = this.#best();
    if (best === undefined) throw new Error(`server ${this.id} has no run of ${this.#length} GB`);
    const offset = best.take();
    best.rank(this.#weights);
    this.#order?.sinkBest();
    this.free -= this.#length;
    this.keys = rank(this, this.#length, this.#weights);
    return { pdskid: best.candidate.pdskid, ssvrid: this.id, offset };
  }

  /** Disks without a run of the length are left out until the next `begin`. */
  #best(): DiskRoom | undefined {
    if (this.#order === undefined) {
      for (const disk of this.disks) disk.rank(this.#weights);
      this.#order = new Heap<DiskRoom>(this.disks, isBetter);
    }
    for (let best = this.#order.peek(); best !== undefined; best = this.#order.peek()) {
      if (best.hasRoom()) return best;
      this.#order.pop();
    }
    return undefined;
  }
}
