import { z } from "zod";
import { EventStatus, FailureTarget } from "../../states.js";
import { wireInt } from "../../wire-types.js";
import { method } from "../method.js";
import { nothing } from "./answers.js";

const among = (values: object, error: string) =>
  wireInt.refine((value) => (Object.values(values) as number[]).includes(value), { error });

/** Of one call: checking a million would hold others up. */
const MAX_BLOCKS = 10_000;
/** More than a mirror ever has. */
const MAX_DEXTS = 256;

/** What hardware monitors and agents tell, and the end of all. */
export const notificationMethods = {
  notifyFailure: method({
    help: "Reports that a server, a disk or a disk extent has failed. It is taken out of use at once, and replaced as soon as there is room; a head server is fenced. Repeating it changes nothing.",
    params: z.object({
      target: among(
        FailureTarget,
        "must be 1 (head server), 2 (storage server), 3 (physical disk) or 4 (disk extent)",
      ).describe("1 HSVR head server, 2 SSVR storage server, 3 PDSK physical disk, 4 LVOL disk extent"),
      targetid: wireInt.describe("its id"),
    }),
    result: nothing,
    errors: { ENOENT: "there is no such thing" },
  }),
  notifyBadBlocks: method({
    help: "Reports blocks of a disk that can't be read or written. The disk takes nothing new from then on (LOW), and the copies on those blocks are replaced.",
    params: z.object({
      pdskid: wireInt.describe("physical disk"),
      blocks: z
        .array(wireInt, { error: "must be an array of ints" })
        .max(MAX_BLOCKS, {
          error: `must not have more than ${MAX_BLOCKS} blocks; tell the others in another call`,
        })
        .describe("block numbers, in GB from the start of the disk"),
    }),
    result: nothing,
    errors: { EINVAL: "there is no such disk, or it has no such block" },
  }),
  notifyShredFinished: method({
    help: "Tells that the shred of a disk extent has ended. It only hastens what the manager finds out by itself.",
    params: z.object({ dextid: wireInt.describe("disk extent") }),
    result: nothing,
    errors: {},
  }),
  notifyRebuildMirrorFinished: method({
    help: "Tells that resyncs of a mirror have ended. It only hastens what the manager finds out by itself.",
    params: z.object({
      mirrorid: wireInt.describe("mirror"),
      dexts: z
        .array(
          z.object(
            {
              dextid: wireInt.describe("disk extent"),
              dext_status: among(EventStatus, "must be an event status, 0 to 5").describe(
                "how its resync ended",
              ),
            },
            { error: "must be a struct" },
          ),
          { error: "must be an array of structs" },
        )
        .max(MAX_DEXTS, { error: `must not have more than ${MAX_DEXTS} disk extents` })
        .describe("its disk extents"),
    }),
    result: nothing,
    errors: { ENOENT: "there is no such mirror" },
  }),
  shutdownAll: method({
    help: "Takes all servers and disks out of use: head servers become OFFLINE, storage servers and disks HALT. A server comes back with the next start of its agent. The manager goes on.",
    params: z.object({}),
    result: nothing,
    errors: { EBUSY: "volumes are attached, or being attached or detached" },
  }),
} as const;
