import { z } from "zod";
import { MAX_EVENT_ID } from "../ids.js";
import { extentNode, snapshotNode, volumeNode } from "../layout-tree.js";
import { wireCounter, wireId, wireInt } from "../wire-types.js";
import { method, type Sent } from "./method.js";

const nothing = z.literal(0).describe("0: accepted");
const status = z.number().int().describe("0 NONE, 1 PENDING, 2 PROGRESS, 3 DONE, 4 CANCELED, 5 ERROR");
const errno = z.number().int().describe("errno, 0 if it went well");

const eventReport = z.tuple([status, errno]).describe("status and result");
/** `[status, result]`: an EventStatus and an errno. */
export type EventReport = Sent<z.infer<typeof eventReport>>;

const eventProgress = z
  .object({
    status,
    result: errno,
    sentence: z.string().describe("what went wrong; empty if nothing did"),
    progress: z.number().describe("percent, or -1 where it is not known"),
  })
  .describe("how far it is");
/** Answer of the waiting form: what happened, in words if it failed, and how far it is. */
export type EventProgress = Sent<z.infer<typeof eventProgress>>;

/** Sent with each call, so that an agent refuses the manager of another cluster, and an older one (rule R13). */
const sender = { cluster: z.string().optional(), serial: wireCounter.optional() };
const eventid = wireInt.min(1).max(MAX_EVENT_ID);
const epoch = wireCounter;

const common = {
  helloWorld: method({
    params: z.object({}),
    result: nothing,
    errors: {},
    help: "Answers 0: the agent lives.",
  }),
  getEventStatus: method({
    params: z.object({ ...sender, eventid }),
    result: eventReport,
    errors: {},
    help: "Status and result of an event. DONE and ERROR are told once, after that NONE.",
  }),
  waitEvent: method({
    params: z.object({ ...sender, eventid, timeout_ms: wireInt.min(0).max(60_000) }),
    result: eventProgress,
    errors: {},
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
  grantExtents: method({
    params: z.object({
      ...sender,
      lvolid: wireId,
      epoch,
      hsvrid: wireId,
      version: wireCounter,
      extents: z.array(grantedExtent),
    }),
    result: nothing,
    errors: {
      ENOENT: "what it names is not there",
      ESTALE: "a newer epoch, version or generation is known",
      EBUSY: "it is in use",
    },
    help: "Lets the holder of a volume's epoch read and write these extents of this server, and no others.",
  }),
  revokeEpoch: method({
    params: z.object({ ...sender, lvolid: wireId, epoch }),
    result: nothing,
    errors: { EAGAIN: "requests of the epoch still run" },
    help: "Closes an epoch of a volume, and all before it, for ever. Answered when none of its requests can reach a disk.",
  }),
  registerShredRequest: method({
    params: z.object({ ...sender, eventid, ...shredTarget, generation: wireCounter.optional() }),
    result: nothing,
    errors: {
      ENOENT: "what it names is not there",
      ESTALE: "a newer epoch, version or generation is known",
      EBUSY: "it is in use",
    },
    help: "Starts to overwrite an extent with zeros.",
  }),
  getShredStatus: method({
    params: z.object({ ...sender, ...shredTarget }),
    result: eventProgress,
    errors: { ENOENT: "what it names is not there" },
    help: "What became of the shred of this extent and generation, whatever its event id was.",
  }),
} as const;

export const headAgentMethods = {
  ...common,
  attachLogicalVolume: method({
    params: z.object({ ...sender, eventid, epoch: epoch.optional(), lvolstruct: volumeNode }),
    result: nothing,
    errors: { EBUSY: "it is in use", ESTALE: "a newer epoch, version or generation is known" },
    help: "Starts to serve a volume.",
  }),
  detachLogicalVolume: method({
    params: z.object({ ...sender, eventid, epoch: epoch.optional(), lvolstruct: volumeNode }),
    result: nothing,
    errors: {},
    help: "Flushes a volume and ends serving it; its event fails with EBUSY while a client uses it.",
  }),
  replaceMirrorDisk: method({
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
    result: nothing,
    errors: { ENOENT: "what it names is not there" },
    help: "Takes one member out of a mirror, and copies the mirror's content to another (or to the same one).",
  }),
  createSnapshot: method({
    params: z.object({
      ...sender,
      eventid,
      jobid: wireCounter,
      lvolid: wireId,
      epoch,
      lvolstruct: snapshotNode,
    }),
    result: nothing,
    errors: { ENOENT: "what it names is not there" },
    help: "Takes a snapshot of a volume that is served: its instant is before the event is DONE.",
  }),
  deleteSnapshot: method({
    params: z.object({
      ...sender,
      eventid,
      jobid: wireCounter,
      lvolid: wireId,
      epoch,
      snapshot_lvolid: wireId,
    }),
    result: nothing,
    errors: {},
    help: "Ends a snapshot of a volume; its event fails with EBUSY while a client uses it. DONE as well if it is not there.",
  }),
} as const;

export type StorageAgentMethodName = keyof typeof storageAgentMethods;
export type HeadAgentMethodName = keyof typeof headAgentMethods;
