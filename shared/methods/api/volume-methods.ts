import { z } from "zod";
import { type SnapshotNode, snapshotNode, type VolumeNode, volumeNode } from "../../layout-tree.js";
import { volumeName, wireId, wireInt } from "../../wire-types.js";
import { method } from "../method.js";
import { nothing, volumeInfo } from "./answers.js";
import { byOrigin, byVolume } from "./names.js";

const NO_HEAD = "a server that is needed for it can't be reached";
const SLOW = "it did not end within its deadline";
const NO_VOLUME = "there is no such volume";
const NO_NAME = "neither lvolid nor lvolname is given";

/** Logical volumes. */
export const volumeMethods = {
  createLogicalVolume: method({
    help: "Creates a logical volume.",
    params: z.object({
      lvolname: volumeName.describe(
        "its name, unique in the system: 1 to 64 characters of A-Z a-z 0-9 . - _",
      ),
      capacity: wireInt
        .min(1, { error: "must be 1 to 1048576 GB" })
        .max(1_048_576, { error: "must be 1 to 1048576 GB" })
        .describe("GB, 1 to 1048576"),
      redundancy: wireInt
        .min(2, { error: "must be 2 to 9" })
        .max(9, { error: "must be 2 to 9" })
        .optional()
        .describe("copies of the data, 2 to 9; 3 if it is not given"),
    }),
    result: wireId.describe("lvolid"),
    errors: {
      EEXIST: "a volume of this name is there",
      ENOSPC: "there is not enough room, or no id is left",
    },
  }),
  createSnapshot: method({
    help: "Keeps the content that a volume has now, under a name of its own. A snapshot is attached and detached with the volume that it was taken of, and read-only.",
    params: z.object({ ...byOrigin, snapshot_lvolname: volumeName.describe("name of the snapshot") }),
    result: wireId.describe("lvolid of the snapshot"),
    errors: {
      EINVAL: "neither origin_lvolid nor origin_lvolname is given, or the volume is a snapshot itself",
      ENOENT: NO_VOLUME,
      EEXIST: "a volume of this name is there",
      ENOSPC: "there is not enough room, or no id is left",
      EAGAIN: "the volume is being attached or detached, or its attach has failed",
      EHOSTDOWN: NO_HEAD,
      ETIMEDOUT: SLOW,
      EIO: "the head server could not take it",
    },
  }),
  deleteLogicalVolume: method({
    help: "Deletes a logical volume, or a snapshot, attached or not. Its space is overwritten before anyone else gets it.",
    params: z.object(byVolume),
    result: nothing,
    errors: {
      EINVAL: NO_NAME,
      ENOENT: NO_VOLUME,
      EBUSY:
        "it has snapshots, or is attached, being attached or being detached; of a snapshot: it is in use",
      ETIMEDOUT:
        "its head server did not end the snapshot within its deadline; that goes on in the background",
    },
  }),
  attachLogicalVolume: method({
    help: "Makes a volume, and its snapshots, block devices on a head server.",
    params: z.object({ ...byVolume, hsvrid: wireInt.describe("head server") }),
    result: nothing,
    errors: {
      EINVAL: `${NO_NAME}, there is no such head server, or the volume is a snapshot`,
      ENOENT: NO_VOLUME,
      EBUSY: "it is attached, being attached or being detached",
      EHOSTDOWN: "the head server, or a storage server with a last good copy, can't be reached",
      ETIMEDOUT: "it did not end within attach_timeout, and was undone",
      EIO: "the head server failed to do it; the volume is in ERROR until it is detached",
      EPERM: "as EIO: the head server belongs to another cluster, or has seen a newer manager",
      ESTALE: "as EIO: the head server has seen a newer epoch",
      EAGAIN: "as EIO: the head server is busy with it",
      ENOSPC: "as EIO: the head server has no room",
    },
  }),
  detachLogicalVolume: method({
    help: "Flushes a volume and takes it, and its snapshots, from its head server. Answers 0 as well if it is not attached.",
    params: z.object(byVolume),
    result: nothing,
    errors: {
      EINVAL: `${NO_NAME}, or the volume is a snapshot`,
      ENOENT: NO_VOLUME,
      EAGAIN: "it, or a snapshot of it, is being attached, detached, created or deleted",
      EBUSY: "the device is in use; it stays attached",
      EHOSTDOWN: "the head server can't be reached; the volume stays attached",
      ETIMEDOUT: SLOW,
      EIO: "the head server failed to do it",
    },
  }),
  listLogicalVolumes: method({
    help: "Lists all volumes by id, or the one named. A snapshot that is being deleted is only shown when it is named.",
    params: z.object(byVolume),
    result: z.array(volumeInfo).describe("volumes"),
    errors: { ENOENT: NO_VOLUME },
  }),
  showLogicalVolume: method({
    help: "Tells how a volume is built: its mirrors, and the disk extents of each.",
    params: z.object(byVolume),
    result: z.union([volumeNode, snapshotNode]).describe("lvolstruct") as z.ZodType<
      VolumeNode | SnapshotNode
    >,
    errors: { EINVAL: NO_NAME, ENOENT: NO_VOLUME },
  }),
} as const;
