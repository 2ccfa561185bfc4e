import { z } from "zod";
import type { Sent } from "../method.js";

/**
 * The answers of the API, as they travel. Members of the reference come first; ours follow, and a client that does not know
 * them ignores them.
 */

/** A method that has nothing to say answers the int 0. */
export const nothing = z.literal(0).describe("0");

const int = z.number().int();
const count = int.min(0);
const id = int.min(1);
const addresses = z.array(z.string()).describe("its addresses on the data network, one or two");
const priority = int
  .min(1)
  .max(6)
  .describe("1 HIGH: in use; 2 LOW: takes nothing new; 3 EVACUATE; 4 OFFLINE; 5 FAULTY; 6 HALT");
const time = z.string().describe("UTC, as 2026-01-31T23:59:59");

export const headServerInfo = z.strictObject({
  hsvrid: id.describe("head server"),
  priority,
  ip_data: addresses,
  resync: count.describe("resyncs that run on it"),
});
export type HeadServerInfo = Sent<z.infer<typeof headServerInfo>>;

export const storageServerInfo = z.strictObject({
  ssvrid: id.describe("storage server"),
  priority,
  ip_data: addresses,
  resync: count.describe("resyncs that run to its disks"),
  available: count.describe("GB that are free, and clean"),
  capacity: count.describe("GB in all"),
  zone: z.string().describe("the zone that it registered with (ours)"),
});
export type StorageServerInfo = Sent<z.infer<typeof storageServerInfo>>;

export const diskInfo = z.strictObject({
  ssvrid: id.describe("storage server that it is attached to"),
  pdskid: id.describe("physical disk"),
  priority,
  iscsi_path: z.array(z.string()).describe("where heads reach it, one per address of its server"),
  local_path: z.string().describe("its path on its storage server"),
  available: count.describe("GB that are free, and clean"),
  capacity: count.describe("GB in all"),
  resync: count.describe("resyncs that run to it (ours)"),
  unshredded: count.describe("GB that wait for their shred, or are being shredded (ours)"),
});
export type DiskInfo = Sent<z.infer<typeof diskInfo>>;

const association = z.strictObject({
  lvolid: id.describe("the other volume"),
  type: z.string().describe('"snapshot"'),
});
export type Association = Sent<z.infer<typeof association>>;

export const volumeInfo = z.strictObject({
  hsvrid: count.describe("head server that it is attached to, or on its way to or from; 0 if none"),
  lvolid: id.describe("logical volume"),
  lvolname: z.string().describe("its name"),
  redundancy: int.describe("copies that it should have"),
  capacity: id.describe("GB; for a snapshot, of its copy-on-write space"),
  associated_to: z.array(association).describe("for a snapshot: the volume that it is of"),
  associated_from: z.array(association).describe("its snapshots"),
  fault: z.boolean().describe("not all of its copies are good"),
  bind_status: int.min(0).max(2).describe("0 UNBOUND; 1 BOUND: attached; 2 ERROR: an attach failed half-way"),
  bind_event: int.min(0).max(2).describe("0 none; 1 BINDING: being attached; 2 UNBINDING: being detached"),
  ctime: time.describe("when it was created: UTC, as 2026-01-31T23:59:59"),
  bind_error: z.string().describe("why the last attach or detach failed; empty if it did not (ours)"),
  snapshot_status: z
    .string()
    .describe("CREATING, VALID, INVALID (its content is lost) or DELETING; empty for a volume (ours)"),
});
export type VolumeInfo = Sent<z.infer<typeof volumeInfo>>;

export const eventInfo = z.strictObject({
  eventid: count.describe("event; after 1048576 they begin with 1 again"),
  target: int
    .min(0)
    .max(4)
    .describe(
      "1 head server, 2 storage server, 3 physical disk, 4 volume or disk extent, 0 the whole cluster",
    ),
  targetid: count.describe("its id"),
  event: int
    .min(1)
    .max(4)
    .describe("1 ABNORMAL: a failure; 2 RESYNC; 3 SHRED; 4: an administrative change (ours)"),
  event_status: int.min(0).max(5).describe("0 NONE, 1 PENDING, 2 PROGRESS, 3 DONE, 4 CANCELED, 5 ERROR"),
  time: time.describe("when it happened or began: UTC, as 2026-01-31T23:59:59 (ours)"),
  sentence: z.string().describe("what it is, for people (ours)"),
  progress: int.min(-1).max(100).describe("percent; -1 where it is not known (ours)"),
  attempts: count.describe("attempts that failed so far (ours)"),
  last_error: z.string().describe("why the last one failed (ours)"),
});
export type EventInfo = Sent<z.infer<typeof eventInfo>>;

const jobInfo = z.strictObject({
  jobid: id.describe("job"),
  kind: z.string().describe("attach, detach, fence, create-snapshot, delete-snapshot, resync or shred"),
  subject: z.string().describe("what it is about, for people"),
  status: int.describe("1 PENDING, 2 RUNNING"),
  attempts: count.describe("attempts that failed so far"),
  last_error: z.string().describe("why the last one failed"),
  progress: int.min(-1).max(100).describe("percent; -1 where it is not known"),
});
export type JobInfo = Sent<z.infer<typeof jobInfo>>;

export const jobState = z.strictObject({
  ...jobInfo.shape,
  status: int.min(1).max(5).describe("1 PENDING, 2 RUNNING, 3 DONE, 4 CANCELED, 5 FAILED"),
  phase: z.string().describe("where in its work it is"),
  created: time.describe("when it was made: UTC, as 2026-01-31T23:59:59"),
  finished: z.string().describe("when it ended; empty if it has not"),
  age: count.describe("seconds that it has taken, or took"),
  next_in: int.min(-1).describe("seconds until its next attempt; -1 if it does not wait for one"),
  result: z.string().describe("the errno by which it fails or has failed; empty if there is none"),
});
export type JobState = Sent<z.infer<typeof jobState>>;

const upOfTotal = z.strictObject({ total: count.describe("all"), up: count.describe("in use") });

export const clusterStatus = z.strictObject({
  cluster: z.string().describe("id of the cluster"),
  serial: count.describe("number of this start of the manager"),
  healthy: z.boolean().describe("there are no notices but of evacuations"),
  notices: z.array(z.string()).describe("what is wrong or under way, the gravest first"),
  volumes: z.strictObject({
    total: count.describe("all, without snapshots"),
    attached: count.describe("attached ones"),
    degraded: count.describe("those without all of their copies"),
  }),
  head_servers: upOfTotal,
  storage_servers: upOfTotal,
  disks: upOfTotal,
  capacity: z.strictObject({
    total: count.describe("GB of all disks"),
    available: count.describe("GB that are free, and clean"),
    unshredded: count.describe("GB that wait for their shred"),
  }),
  jobs: z.array(jobInfo).describe("the first 200 that are under way"),
});
export type ClusterStatus = Sent<z.infer<typeof clusterStatus>>;

export const checkedState = z.strictObject({
  findings: z.array(z.string()).describe("rules that the manager's own state breaks"),
  differences: z.array(z.string()).describe("what agents hold, and the state says otherwise"),
  not_compared: z.array(z.string()).describe("servers and volumes that could not be compared, and why"),
});
export type CheckedState = Sent<z.infer<typeof checkedState>>;

export const mirrorState = z.strictObject({
  version: count.describe("of the mirror's membership"),
  members: z.array(
    z.strictObject({
      dextid: id.describe("disk extent"),
      mirror_status: int.describe("1 ALLOCATED, 2 INSYNC, 3 SPARE, 4 FAULTY"),
    }),
  ),
});
export type MirrorState = Sent<z.infer<typeof mirrorState>>;

export const snapshotState = z.strictObject({
  snapshot_lvolid: id.describe("snapshot"),
  snapshot_status: z.string().describe("CREATING, VALID, INVALID or DELETING"),
});
export type SnapshotState = Sent<z.infer<typeof snapshotState>>;
