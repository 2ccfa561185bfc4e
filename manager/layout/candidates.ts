import type { DiskId, StorageServerId } from "../../shared/ids.js";
import type { Priority } from "../../shared/states.js";
import type { Gigabytes } from "../../shared/units.js";

/** A run of clean space; offset and length in GB (extent units of its disk). */
export interface FreeRun {
  readonly offset: Gigabytes;
  readonly length: Gigabytes;
}

/** A disk that could be given extents, and what is to be known of it for that. */
export interface Candidate {
  readonly pdskid: DiskId;
  readonly ssvrid: StorageServerId;
  /** Of its server; servers that named none share the zone "". */
  readonly zone: string;
  readonly capacity: Gigabytes;
  readonly priority: Priority;
  readonly serverPriority: Priority;
  /** Resyncs that read or write it now. */
  readonly resyncs: number;
  /** Without overlaps, merged, in any order. */
  readonly free: readonly FreeRun[];
}

/** A place on a disk. */
export interface Place {
  readonly pdskid: DiskId;
  readonly ssvrid: StorageServerId;
  readonly offset: Gigabytes;
}

/** What a mirror asks of one more member. */
export interface Wish {
  readonly length: Gigabytes;
  /** Servers and zones of the members that it has. */
  readonly usedServers: ReadonlySet<StorageServerId>;
  readonly usedZones: ReadonlySet<string>;
  /** Disks that hold an extent of it, also one that is out of use. */
  readonly usedDisks: ReadonlySet<DiskId>;
}
