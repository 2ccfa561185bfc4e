import { z } from "zod";
import { wireInt } from "../../wire-types.js";
import { method } from "../method.js";
import { diskInfo, eventInfo, headServerInfo, storageServerInfo } from "./answers.js";

/** Queries. */
export const queryMethods = {
  listHeadServers: method({
    help: "Lists all head servers by id, or the one named.",
    params: z.object({ hsvrid: wireInt.optional().describe("only this head server") }),
    result: z.array(headServerInfo).describe("head servers"),
    errors: { ENOENT: "there is no such head server" },
  }),
  listStorageServers: method({
    help: "Lists all storage servers by id, or the one named.",
    params: z.object({ ssvrid: wireInt.optional().describe("only this storage server") }),
    result: z.array(storageServerInfo).describe("storage servers"),
    errors: { ENOENT: "there is no such storage server" },
  }),
  listPhysicalDisks: method({
    help: "Lists all physical disks by id, or those of one storage server.",
    params: z.object({ ssvrid: wireInt.optional().describe("only disks of this storage server") }),
    result: z.array(diskInfo).describe("physical disks"),
    errors: { ENOENT: "there is no such storage server" },
  }),
  listEvents: method({
    help: "Lists resyncs, shreds, failures, errors of attaches and administrative changes, those under way and those that are kept, the oldest first.",
    params: z.object({
      limit: wireInt
        .min(1, { error: "must be 1 to 10000" })
        .max(10_000, { error: "must be 1 to 10000" })
        .optional()
        .describe("only so many, the newest; 1000 if it is not given, at most 10000 (ours)"),
    }),
    result: z.array(eventInfo).describe("events"),
    errors: {},
  }),
} as const;
