import { z } from "zod";
import { wireCounter, wireId } from "../../wire-types.js";
import { method } from "../method.js";
import { clusterStatus, mirrorState, nothing, snapshotState } from "./answers.js";

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

/** What our own agents and command line call besides. */
export const extensionMethods = {
  getClusterStatus: method({
    help: "The health of the cluster at a glance, with the jobs that are under way.",
    params: z.object({}),
    result: clusterStatus.describe("status"),
    errors: {},
  }),
  checkState: method({
    help: "Verifies the whole state of the manager.",
    params: z.object({}),
    result: z.array(z.string()).describe("what is wrong with it, a sentence each"),
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
