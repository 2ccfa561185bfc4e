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

/** Name and secret by which a head server is known to iSCSI targets. */
export const chap = z.object({
  user: z.string().regex(/^hsvr-[0-9a-f]{8}$/),
  secret: z.string().regex(/^[0-9a-zA-Z]{12,64}$/),
});
export type Chap = z.infer<typeof chap>;

/** Regions of one call: 64 MiB of each disk. */
export const MAX_CHECKSUMS = 4;

const shredTarget = {
  dextid: wireId,
  pdskid: wireId,
  offset: wireInt.min(0),
  capacity: wireId,
  generation: wireCounter,
};

const after = wireInt.min(0).optional();
const more = z.boolean().describe("there is more; ask again with the last of these as `after`");

const storageHoldings = z.object({
  disks: z.array(
    z.object({
      pdskid: z.number().int().describe("0 if it is not known which disk stands at the path"),
      path: z.string(),
      served: z.boolean(),
      why: z.string().describe("why it is not served; empty if it is"),
      capacity: z.number().int().describe("usable GB; 0 if it is not served"),
    }),
  ),
  grants: z.array(
    z.object({
      lvolid: wireId,
      epoch,
      hsvrid: wireId,
      version: wireCounter,
      revoked: z.number().int().describe("highest epoch that is closed for ever; -1 if none is"),
      extents: z.array(grantedExtent),
    }),
  ),
  more,
});
/** What a storage agent holds; see `listHoldings`. */
export type StorageHoldings = Sent<z.infer<typeof storageHoldings>>;

const generationRun = z.object({
  pdskid: wireId,
  offset: wireInt.min(0),
  capacity: wireId,
  generation: wireCounter,
  zeroed: z.boolean().describe("shredded under this generation, and not granted since"),
});
const knownGenerations = z.object({ runs: z.array(generationRun), more });
/** What a storage agent knows of a part of a disk; `offset` and `capacity` in extent units. */
export type KnownGeneration = Sent<z.infer<typeof generationRun>>;

const runningVolume = z.object({
  lvolid: wireId,
  epoch,
  state: z.string().describe("starting, serving or stopping; silent if its process does not answer now"),
  mirrors: z.array(
    z.object({
      mirrorid: wireId,
      version: wireCounter,
      members: z.array(
        z.object({
          dextid: wireId,
          state: z.string().describe("insync, joining, copying, preparing, failing or out"),
        }),
      ),
    }),
  ),
  snapshots: z.array(z.object({ lvolid: wireId, state: z.string() })),
});
/** A volume that a head agent serves; empty lists if its process does not answer now. */
export type RunningVolume = Sent<z.infer<typeof runningVolume>>;

export const storageAgentMethods = {
  ...common,
  listHoldings: method({
    params: z.object({ ...sender, after: after.describe("only volumes with a higher lvolid") }),
    result: storageHoldings,
    errors: {},
    help: "The disks of this server, and what it lets volumes touch: volumes by id, as many as an answer holds.",
  }),
  listGenerations: method({
    params: z.object({
      ...sender,
      after_pdskid: after.describe("only what comes after this place"),
      after_offset: after,
    }),
    result: knownGenerations,
    errors: {},
    help: "The generations of the space of the disks that are served, by disk and place, as many as an answer holds.",
  }),
  grantExtents: method({
    params: z.object({
      ...sender,
      lvolid: wireId,
      epoch,
      hsvrid: wireId,
      version: wireCounter,
      extents: z.array(grantedExtent),
      /** By which the holder is known; only where disks are exported by iSCSI. */
      chap: chap.optional(),
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
  checksumRegions: method({
    params: z.object({
      ...sender,
      ...shredTarget,
      from: wireCounter,
      count: wireInt.min(1).max(MAX_CHECKSUMS),
    }),
    result: z.array(z.string()).describe("a checksum of each region"),
    errors: {
      ENOENT: "what it names is not there",
      ESTALE: "the space has another generation",
      EIO: "the disk can't be read there",
    },
    help: "Checksums of regions of 16 MiB of an extent's data, as they are on the disk: `count` of them, from number `from` on. Read no faster than disks are scrubbed.",
  }),
} as const;

export const regionDifferences = z
  .array(
    z.object({
      region: wireCounter.describe("number of the region of 16 MiB"),
      byte: wireCounter.describe("the first byte of it that is not the same on all members"),
      copies: z.array(z.array(wireId)).describe("extents with the same content, a list for each content"),
    }),
  )
  .describe("the regions that differ");

export const headAgentMethods = {
  ...common,
  listRunning: method({
    params: z.object({ ...sender, after: after.describe("only volumes with a higher lvolid") }),
    result: z.object({ volumes: z.array(runningVolume), more }),
    errors: {},
    help: "The volumes that are served here with what their processes make of each member, by id, as many as an answer holds.",
  }),
  attachLogicalVolume: method({
    params: z.object({
      ...sender,
      eventid,
      epoch: epoch.optional(),
      lvolstruct: volumeNode,
      /** Only its copies are brought in sync: no client can open it. */
      maintenance: z.boolean().optional(),
      /** By which this head is known to storage servers; only where disks are exported by iSCSI. */
      chap: chap.optional(),
    }),
    result: nothing,
    errors: { EBUSY: "it is in use", ESTALE: "a newer epoch, version or generation is known" },
    help: "Starts to serve a volume, or with `maintenance` to bring its copies in sync only.",
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
  compareRegions: method({
    params: z.object({
      ...sender,
      lvolid: wireId,
      epoch,
      mirrorid: wireId,
      regions: z.array(wireCounter).max(MAX_CHECKSUMS),
    }),
    result: regionDifferences,
    errors: {
      ENOENT: "what it names is not there",
      EAGAIN: "the members are changing, or one can't be read",
    },
    help: "Compares regions of 16 MiB of the INSYNC members of a mirror, byte by byte, while nobody writes there.",
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
