import type { Gigabytes } from "../../shared/units.js";
import type { Candidate } from "./candidates.js";
import { DiskRoom } from "./disk-room.js";
import { isUsable } from "./filters.js";
import { groupBy } from "./group-by.js";
import { Heap } from "./heap.js";
import { isBetter } from "./rank.js";
import { ServerRoom } from "./server-room.js";
import type { Weight } from "./weights.js";

/** Servers of one zone that have room, the best on top. */
export type ZoneRoom = Heap<ServerRoom>;

/** Zones are as good as their best server. Every zone in a heap of zones has one. */
export function zoneHeap(zones: readonly ZoneRoom[]): Heap<ZoneRoom> {
  return new Heap(zones, (a, b) => isBetter(a.peek() as ServerRoom, b.peek() as ServerRoom));
}

/**
 * The free space of all usable disks while a plan is made. Zones, servers and disks are heaps, so that a member costs
 * the logarithm of their number. Members of one length are placed at a time, and space only gets less: who has no room
 * for the length is left out until the next `begin`.
 */
export class ClusterRoom {
  readonly #disks: readonly DiskRoom[];
  readonly #servers: readonly ServerRoom[];
  /** Zones with room for the length. */
  zones: Heap<ZoneRoom> = zoneHeap([]);

  constructor(
    candidates: readonly Candidate[],
    readonly weights: readonly Weight[],
  ) {
    this.#disks = candidates.filter(isUsable).map((candidate) => new DiskRoom(candidate));
    const byServer = groupBy(this.#disks, (disk) => disk.candidate.ssvrid);
    this.#servers = [...byServer.values()].map((disks) => new ServerRoom(disks));
  }

  /** All free space, GB. */
  get free(): Gigabytes {
    return this.#servers.reduce((sum, server) => sum + server.free, 0);
  }

  /** From now on members of this length are placed. */
  begin(length: Gigabytes): void {
    for (const server of this.#servers) server.begin(length, this.weights);
    const withRoom = this.#servers.filter((server) => server.hasRoom());
    const byZone = groupBy(withRoom, (server) => server.zone);
    this.zones = zoneHeap([...byZone.values()].map((servers) => new Heap(servers, isBetter)));
  }

  /** The usable candidates with the space that they have now, for an explanation. */
  remaining(): Candidate[] {
    return this.#disks.map((disk) => ({ ...disk.candidate, free: disk.runs }));
  }
}
