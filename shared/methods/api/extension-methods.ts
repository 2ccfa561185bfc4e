import { z } from "zod";
import { wireCounter, wireId, wireInt } from "../../wire-types.js";
import { method } from "../method.js";
import { checkedState, clusterStatus, jobState, mirrorState, nothing, snapshotState } from "./answers.js";

const epoch = wireCounter.describe("of its attachment");
const byEpoch = { lvolid: wireId.describe("logical volume"), epoch };
const mirrorReport = z.object({
  ...byEpoch,
  mirrorid: wireId.describe("mirror"),
  dextid: wireId.describe("disk extent"),
  version: wireCounter.describe("of the mirror's membership, as the head knows it"),
});
const newVersion = z.strictObject({
  version: wireCounter.describe("of the mirror's membership from now on"),
});
const STALE = "the epoch is closed, or the version is a past one";
const GONE = "the mirror or the extent is not there any more";
const CHANGING = "the volume is being attached or detached";

const byJob = z.object({ jobid: wireInt.describe("job") });
const NO_JOB = "there is no such job, or it ended too long ago";
const cancel = z
  .boolean()
  .optional()
  .describe("true: it is to stay in use after all, and copies that are not needed any more are given up");

/** What our own agents and command line call besides. */
export const extensionMethods = {
  getClusterStatus: method({
    help: "The health of the cluster at a glance, with the jobs that are under way.",
    params: z.object({}),
    result: clusterStatus.describe("status"),
    errors: {},
  }),
  checkState: method({
    help: "Verifies the whole state of the manager, and compares it with what the agents of all servers that are in use hold. Changes nothing.",
    params: z.object({}),
    result: checkedState.describe("what is wrong, a sentence each"),
    errors: {},
  }),
  identifyCluster: method({
    help: "Tells an agent which cluster this is.",
    params: z.object({}),
    result: z
      .strictObject({
        cluster: z.string().describe("id of the cluster"),
        serial: wireCounter.describe("number of this start of the manager"),
        as_of: wireCounter.describe("how many attaches have been made"),
      })
      .describe("identity"),
    errors: {},
  }),
  evacuatePhysicalDisk: method({
    help: "Has all copies on a physical disk made elsewhere first, and then let go, so that it can be deleted. Nothing new is placed on it meanwhile.",
    params: z.object({ pdskid: wireInt.describe("physical disk"), cancel }),
    result: nothing,
    errors: { ENOENT: "there is no such disk", EBUSY: "it is FAULTY: nothing is copied from it" },
  }),
  evacuateStorageServer: method({
    help: "The same for all disks of a storage server, those that it gets later as well.",
    params: z.object({ ssvrid: wireInt.describe("storage server"), cancel }),
    result: nothing,
    errors: { ENOENT: "there is no such storage server" },
  }),
  listJobs: method({
    help: "Jobs that are under way, the oldest first: at most 1000.",
    params: z.object({
      all: z.boolean().optional().describe("true: the newest 1000 that have ended as well"),
    }),
    result: z.array(jobState).describe("jobs"),
    errors: {},
  }),
  showJob: method({
    help: "One job.",
    params: byJob,
    result: jobState.describe("job"),
    errors: { ENOENT: NO_JOB },
  }),
  cancelJob: method({
    help: "Ends a job without its purpose: an attach and the taking of a snapshot are undone, a detach leaves its volume attached, a resync is not begun again for `cancel_hold` seconds. Whoever waits for it gets ECANCELED.",
    params: byJob,
    result: nothing,
    errors: {
      ENOENT: NO_JOB,
      EINVAL: "it has ended",
      EPERM: "it is a fence or a shred",
      EBUSY: "it is being undone already, or its head may have done what can't be taken back",
      EHOSTDOWN: "a snapshot that was to be deleted: its volume is not served any more as it was then",
    },
  }),
  retryJob: method({
    help: "A job that waits for its next attempt is tried at once; a resync that was cancelled may begin again.",
    params: byJob,
    result: nothing,
    errors: { ENOENT: NO_JOB, EINVAL: "it has ended" },
  }),
  reportMemberFailure: method({
    help: "A head reports that a member missed a write. Once this is answered the head may acknowledge the write.",
    params: mirrorReport,
    result: newVersion.describe("version"),
    errors: { ENOENT: GONE, ESTALE: STALE, EAGAIN: CHANGING, EBUSY: "it is the last good copy, and is kept" },
  }),
  reportMemberInSync: method({
    help: "A head reports that a member holds the content of its mirror again.",
    params: mirrorReport,
    result: newVersion.describe("version"),
    errors: { ENOENT: GONE, ESTALE: STALE, EAGAIN: CHANGING },
  }),
  reportSnapshotFailure: method({
    help: "A head reports that a snapshot can't be kept any more. Once this is answered its origin may be written to without it.",
    params: z.object({
      ...byEpoch,
      snapshot_lvolid: wireId.describe("snapshot"),
      reason: z.string().max(1024).describe("why, for people"),
    }),
    result: nothing,
    errors: { ENOENT: "there is no such snapshot", ESTALE: STALE },
  }),
  getSnapshots: method({
    help: "A head asks which snapshots its volume has, before it serves it again.",
    params: z.object(byEpoch),
    result: z.array(snapshotState).describe("snapshots"),
    errors: { ESTALE: STALE },
  }),
  getMirror: method({
    help: "A head asks for the version and the members of a mirror.",
    params: z.object({
      ...byEpoch,
      mirrorid: wireId.describe("mirror"),
      starting: z
        .boolean()
        .optional()
        .describe("earlier reports that are still on their way are refused from then on"),
    }),
    result: mirrorState.describe("mirror"),
    errors: { ENOENT: GONE, ESTALE: STALE },
  }),
} as const;
