import { z } from "zod";
import type { SnapshotNode, VolumeNode } from "../layout-tree.js";
import { FailureTarget } from "../states.js";
import { dataAddresses, portNumber, volumeName, wireCounter, wireId, wireInt } from "../wire-types.js";
import { method } from "./method.js";

/** The answers of the API, as they travel. Members after the blank line of a type are ours, and optional for a client. */
export interface HeadServerInfo {
  readonly hsvrid: number;
  readonly priority: number;
  readonly ip_data: readonly string[];
  readonly resync: number;
}
export interface StorageServerInfo {
  readonly ssvrid: number;
  readonly priority: number;
  readonly ip_data: readonly string[];
  readonly resync: number;
  readonly available: number;
  readonly capacity: number;

  readonly zone: string;
}
export interface DiskInfo {
  readonly ssvrid: number;
  readonly pdskid: number;
  readonly priority: number;
  readonly iscsi_path: readonly string[];
  readonly local_path: string;
  readonly available: number;
  readonly capacity: number;

  readonly resync: number;
  /** GB that wait for their shred, or are being shredded. */
  readonly unshredded: number;
}
export interface Association {
  readonly lvolid: number;
  readonly type: string;
}
export interface VolumeInfo {
  readonly hsvrid: number;
  readonly lvolid: number;
  readonly lvolname: string;
  readonly redundancy: number;
  readonly capacity: number;
  readonly associated_to: readonly Association[];
  readonly associated_from: readonly Association[];
  readonly fault: boolean;
  readonly bind_status: number;
  readonly bind_event: number;
  readonly ctime: string;

  /** Why the last attach or detach failed; empty if it did not. */
  readonly bind_error: string;
  /** How a snapshot is: CREATING, VALID, INVALID (its content is lost) or DELETING; empty for any other volume. */
  readonly snapshot_status: string;
}
export interface MirrorState {
  readonly version: number;
  readonly members: readonly { readonly dextid: number; readonly mirror_status: number }[];
}
export interface SnapshotState {
  readonly snapshot_lvolid: number;
  readonly snapshot_status: string;
}
export interface JobInfo {
  readonly jobid: number;
  readonly kind: string;
  /** What it is about, for people: `lvol-00000001`, `dext-00000005 on pdsk-00000001`. */
  readonly subject: string;
  readonly status: number;
  readonly attempts: number;
  readonly last_error: string;
  /** Percent, where the agent tells it; -1 where it does not. */
  readonly progress: number;
}
export interface ClusterStatus {
  readonly cluster: string;
  readonly serial: number;
  readonly healthy: boolean;
  /** What is wrong or under way, a sentence each, the gravest first. */
  readonly notices: readonly string[];
  readonly volumes: { readonly total: number; readonly attached: number; readonly degraded: number };
  readonly head_servers: { readonly total: number; readonly up: number };
  readonly storage_servers: { readonly total: number; readonly up: number };
  readonly disks: { readonly total: number; readonly up: number };
  readonly capacity: { readonly total: number; readonly available: number; readonly unshredded: number };
  readonly jobs: readonly JobInfo[];
}

const byVolume = { lvolid: wireInt.optional(), lvolname: z.string({ error: "must be a string" }).optional() };
const mirrorReport = z.object({
  lvolid: wireId,
  epoch: wireCounter,
  mirrorid: wireId,
  dextid: wireId,
  version: wireCounter,
});

/**
 * Methods of the Vastsky API. `starting` false marks the repeated registration of an agent that has run all along: it
 * does not bring back a server that a person or monitor declared lost. `as_of` is what identifyCluster answered before the
 * list in `running` was made: volumes that were bound later are not missing from it.
 */
export const apiMethods = {
  registerHeadServer: method<number>()({
    params: z.object({
      ip_data: dataAddresses,
      port: portNumber.optional(),
      boot_id: z.string().min(1).max(128).optional(),
      starting: z.boolean().optional(),
      as_of: wireCounter.optional(),
      running: z
        .array(z.object({ lvolid: wireId, epoch: wireCounter }))
        .max(100_000)
        .optional(),
    }),
    returns: "int",
    errors: ["EINVAL", "EEXIST", "ENOSPC"],
    help: "Registers a head server, or brings one back that was OFFLINE. Returns its hsvrid.",
  }),
  registerStorageServer: method<number>()({
    params: z.object({
      ip_data: dataAddresses,
      port: portNumber.optional(),
      boot_id: z.string().min(1).max(128).optional(),
      starting: z.boolean().optional(),
      zone: z.string().max(64).optional(),
    }),
    returns: "int",
    errors: ["EINVAL", "EEXIST", "ENOSPC"],
    help: "Registers a storage server, or brings one back that was OFFLINE or HALT. Returns its ssvrid.",
  }),
  registerPhysicalDisk: method<number>()({
    params: z.object({
      ssvrid: wireId,
      local_path: z.string({ error: "must be a string" }).min(1, { error: "must not be empty" }).max(4096),
      capacity: z
        .string({ error: "must be a string of sectors" })
        .regex(/^[0-9]{1,15}$/, { error: "must be a string of decimal digits: the disk's sectors" }),
      serial: z.string().min(1).max(256).optional(),
      pdskid: wireId.optional(),
      nbd_port: portNumber.optional(),
    }),
    returns: "int",
    errors: ["EINVAL", "EBUSY", "EEXIST", "ENOSPC"],
    help: "Registers a physical disk of a storage server, or brings one back that was OFFLINE or HALT. Returns its pdskid.",
  }),
  createLogicalVolume: method<number>()({
    params: z.object({
      lvolname: volumeName,
      capacity: wireInt
        .min(1, { error: "must be 1 to 1048576 GB" })
        .max(1_048_576, { error: "must be 1 to 1048576 GB" }),
      redundancy: wireInt.min(2, { error: "must be 2 to 9" }).max(9, { error: "must be 2 to 9" }).optional(),
    }),
    returns: "int",
    errors: ["EINVAL", "EEXIST", "ENOSPC"],
    help: "Creates a logical volume of a capacity in GB. Returns its lvolid.",
  }),
  deleteLogicalVolume: method<0>()({
    params: z.object(byVolume),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "EBUSY", "EAGAIN", "EHOSTDOWN", "ETIMEDOUT"],
    help: "Deletes a logical volume or a snapshot; its space is shredded before anyone else gets it.",
  }),
  createSnapshot: method<number>()({
    params: z.object({
      origin_lvolid: wireInt.optional(),
      origin_lvolname: z.string({ error: "must be a string" }).optional(),
      snapshot_lvolname: volumeName,
    }),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "EEXIST", "ENOSPC", "EAGAIN", "EHOSTDOWN", "ETIMEDOUT", "EIO"],
    help: "Keeps the content that a volume has now, under a name of its own. Returns the lvolid of the snapshot.",
  }),
  attachLogicalVolume: method<0>()({
    params: z.object({ ...byVolume, hsvrid: wireInt }),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "EBUSY", "EHOSTDOWN", "ETIMEDOUT", "EIO"],
    help: "Makes a volume a block device on a head server.",
  }),
  detachLogicalVolume: method<0>()({
    params: z.object(byVolume),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "EAGAIN", "EBUSY", "EHOSTDOWN", "ETIMEDOUT"],
    help: "Flushes a volume and takes it from its head server. Answers 0 if it is not attached.",
  }),
  listLogicalVolumes: method<readonly VolumeInfo[]>()({
    params: z.object(byVolume),
    returns: "array",
    errors: ["EINVAL", "ENOENT"],
    help: "Lists all volumes, or the one named.",
  }),
  showLogicalVolume: method<VolumeNode | SnapshotNode>()({
    params: z.object(byVolume),
    returns: "struct",
    errors: ["EINVAL", "ENOENT"],
    help: "Tells how a volume is built: mirrors, and the disk extents of each.",
  }),
  listHeadServers: method<readonly HeadServerInfo[]>()({
    params: z.object({ hsvrid: wireInt.optional() }),
    returns: "array",
    errors: ["EINVAL", "ENOENT"],
    help: "Lists all head servers, or the one named.",
  }),
  listStorageServers: method<readonly StorageServerInfo[]>()({
    params: z.object({ ssvrid: wireInt.optional() }),
    returns: "array",
    errors: ["EINVAL", "ENOENT"],
    help: "Lists all storage servers, or the one named.",
  }),
  listPhysicalDisks: method<readonly DiskInfo[]>()({
    params: z.object({ ssvrid: wireInt.optional() }),
    returns: "array",
    errors: ["EINVAL", "ENOENT"],
    help: "Lists all physical disks, or those of one storage server.",
  }),
  notifyFailure: method<0>()({
    params: z.object({
      target: wireInt.refine((value) => (Object.values(FailureTarget) as number[]).includes(value), {
        error: "must be 1 (head server), 2 (storage server), 3 (physical disk) or 4 (disk extent)",
      }),
      targetid: wireInt,
    }),
    returns: "int",
    errors: ["EINVAL", "ENOENT"],
    help: "Reports that a server, a disk or a disk extent has failed.",
  }),
} as const;

/** What our own agents and command line call besides. */
export const extensionMethods = {
  getClusterStatus: method<ClusterStatus>()({
    params: z.object({}),
    returns: "struct",
    errors: [],
    help: "The health of the cluster at a glance, with the jobs that are under way.",
  }),
  checkState: method<readonly string[]>()({
    params: z.object({}),
    returns: "array",
    errors: [],
    help: "Verifies the whole state of the manager; returns what is wrong with it, a sentence each.",
  }),
  identifyCluster: method<{ cluster: string; serial: number; as_of: number }>()({
    params: z.object({}),
    returns: "struct",
    errors: [],
    help: "Tells an agent the id of the cluster, the serial of this manager, and how many attaches have been made.",
  }),
  reportMemberFailure: method<{ version: number }>()({
    params: mirrorReport,
    returns: "struct",
    errors: ["EINVAL", "ENOENT", "ESTALE", "EAGAIN", "EBUSY"],
    help: "A head reports that a member missed a write. Once this is answered the head may acknowledge the write.",
  }),
  reportMemberInSync: method<{ version: number }>()({
    params: mirrorReport,
    returns: "struct",
    errors: ["EINVAL", "ENOENT", "ESTALE", "EAGAIN"],
    help: "A head reports that a member holds the content of its mirror again.",
  }),
  reportSnapshotFailure: method<0>()({
    params: z.object({
      lvolid: wireId,
      epoch: wireCounter,
      snapshot_lvolid: wireId,
      reason: z.string().max(1024),
    }),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "ESTALE"],
    help: "A head reports that a snapshot can't be kept any more. Once this is answered its origin may be written to without it.",
  }),
  getSnapshots: method<readonly SnapshotState[]>()({
    params: z.object({ lvolid: wireId, epoch: wireCounter }),
    returns: "array",
    errors: ["EINVAL", "ESTALE"],
    help: "A head asks which snapshots its volume has, before it serves it again.",
  }),
  getMirror: method<MirrorState>()({
    params: z.object({
      lvolid: wireId,
      epoch: wireCounter,
      mirrorid: wireId,
      starting: z.boolean().optional(),
    }),
    returns: "struct",
    errors: ["EINVAL", "ENOENT", "ESTALE"],
    help: "A head asks for the version and the members of a mirror. With `starting`, earlier reports that are still on their way are refused from then on.",
  }),
} as const;

export const managerMethods = { ...apiMethods, ...extensionMethods } as const;
export type ManagerMethodName = keyof typeof managerMethods;
