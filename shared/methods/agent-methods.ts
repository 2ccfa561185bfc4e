import { z } from "zod";
import { MAX_EVENT_ID } from "../ids.js";
import { extentNode, snapshotNode, volumeNode } from "../layout-tree.js";
import { wireCounter, wireId, wireInt } from "../wire-types.js";
import { method } from "./method.js";

/** `[status, result]`: an EventStatus and an errno. */
export type EventReport = readonly [status: number, result: number];
/** Answer of the waiting form: what happened, in words if it failed, and how far it is. */
export interface EventProgress {
  readonly status: number;
  readonly result: number;
  readonly sentence: string;
  /** Percent, or -1 where it is not known. */
  readonly progress: number;
}

/** Sent with each call, so that an agent refuses the manager of another cluster, and an older one (rule R13). */
const sender = { cluster: z.string().optional(), serial: wireCounter.optional() };
const eventid = wireInt.min(1).max(MAX_EVENT_ID);
const epoch = wireCounter;

const common = {
  helloWorld: method<0>()({
    params: z.object({}),
    returns: "int",
    errors: [],
    help: "Answers 0: the agent lives.",
  }),
  getEventStatus: method<EventReport>()({
    params: z.object({ ...sender, eventid }),
    returns: "array",
    errors: ["EINVAL"],
    help: "Status and result of an event. DONE and ERROR are told once, after that NONE.",
  }),
  waitEvent: method<EventProgress>()({
    params: z.object({ ...sender, eventid, timeout_ms: wireInt.min(0).max(60_000) }),
    returns: "struct",
    errors: ["EINVAL"],
    help: "Answers when the event is DONE or ERROR, or at the time-out. May be asked again: forgets nothing.",
  }),
} as const;

/** An extent as a grant names it; `offset` and `capacity` in extent units of 1025 MiB. */
export const grantedExtent = z.object({
  dextid: wireId,
  pdskid: wireId,
  offset: wireInt.min(0),
  capacity: wireId,
  generation: wireCounter,
});
export type GrantedExtent = z.infer<typeof grantedExtent>;

const shredTarget = {
  dextid: wireId,
  pdskid: wireId,
  offset: wireInt.min(0),
  capacity: wireId,
  generation: wireCounter,
};

export const storageAgentMethods = {
  ...common,
  grantExtents: method<0>()({
    params: z.object({
      ...sender,
      lvolid: wireId,
      epoch,
      hsvrid: wireId,
      version: wireCounter,
      extents: z.array(grantedExtent),
    }),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "ESTALE", "EBUSY"],
    help: "Lets the holder of a volume's epoch read and write these extents of this server, and no others.",
  }),
  revokeEpoch: method<0>()({
    params: z.object({ ...sender, lvolid: wireId, epoch }),
    returns: "int",
    errors: ["EINVAL", "EAGAIN"],
    help: "Closes an epoch of a volume, and all before it, for ever. Answered when none of its requests can reach a disk.",
  }),
  registerShredRequest: method<0>()({
    params: z.object({ ...sender, eventid, ...shredTarget, generation: wireCounter.optional() }),
    returns: "int",
    errors: ["EINVAL", "ENOENT", "ESTALE", "EBUSY"],
    help: "Starts to overwrite an extent with zeros.",
  }),
  getShredStatus: method<EventProgress>()({
    params: z.object({ ...sender, ...shredTarget }),
    returns: "struct",
    errors: ["EINVAL", "ENOENT"],
    help: "What became of the shred of this extent and generation, whatever its event id was.",
  }),
} as const;

export const headAgentMethods = {
  ...common,
  attachLogicalVolume: method<0>()({
    params: z.object({ ...sender, eventid, epoch: epoch.optional(), lvolstruct: volumeNode }),
    returns: "int",
    errors: ["EINVAL", "EBUSY", "ESTALE"],
    help: "Starts to serve a volume.",
  }),
  detachLogicalVolume: method<0>()({
    params: z.object({ ...sender, eventid, epoch: epoch.optional(), lvolstruct: volumeNode }),
    returns: "int",
    errors: ["EINVAL"],
    help: "Flushes a volume and ends serving it; its event fails with EBUSY while a client uses it.",
  }),
  replaceMirrorDisk: method<0>()({
    params: z.object({
      ...sender,
      eventid,
      lvolid: wireId.optional(),
      epoch: epoch.optional(),
      mirrorid: wireId,
      /** The mirror's membership version after this change was planned. */
      version: wireCounter.optional(),
      add: extentNode,
      remove: z.union([extentNode, z.object({ lvolid: z.literal(0) })]),
    }),
    returns: "int",
    errors: ["EINVAL", "ENOENT"],
    help: "Takes one member out of a mirror, and copies the mirror's content to another (or to the same one).",
  }),
  createSnapshot: method<0>()({
    params: z.object({
      ...sender,
      eventid,
      jobid: wireCounter,
      lvolid: wireId,
      epoch,
      lvolstruct: snapshotNode,
    }),
    returns: "int",
    errors: ["EINVAL", "ENOENT"],
    help: "Takes a snapshot of a volume that is served: its instant is before the event is DONE.",
  }),
  deleteSnapshot: method<0>()({
    params: z.object({
      ...sender,
      eventid,
      jobid: wireCounter,
      lvolid: wireId,
      epoch,
      snapshot_lvolid: wireId,
    }),
    returns: "int",
    errors: ["EINVAL"],
    help: "Ends a snapshot of a volume; its event fails with EBUSY while a client uses it. DONE as well if it is not there.",
  }),
} as const;

export type StorageAgentMethodName = keyof typeof storageAgentMethods;
export type HeadAgentMethodName = keyof typeof headAgentMethods;
