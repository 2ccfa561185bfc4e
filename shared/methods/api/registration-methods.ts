import { z } from "zod";
import { dataAddresses, portNumber, wireCounter, wireId, wireInt } from "../../wire-types.js";
import { method } from "../method.js";
import { nothing } from "./answers.js";

const bootId = z
  .string()
  .min(1)
  .max(128)
  .optional()
  .describe("changes with each boot of the server; with it, a known server gets its id back");
const starting = z
  .boolean()
  .optional()
  .describe(
    "false: repeated by an agent that has run all along; a server that was declared lost or shut down is not brought back",
  );
const port = portNumber.optional().describe("port of its agent");
const ipData = dataAddresses.describe("its addresses on the data network, one or two");
const iscsiName = z
  .string({ error: "must be a string" })
  .regex(/^iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.:-]{1,180}$/, { error: "must be an iSCSI name, iqn.YYYY-MM.…" });
const path = z
  .string({ error: "must be a string" })
  .min(1, { error: "must not be empty" })
  .max(4096, { error: "must be at most 4096 characters" });

/**
 * Registration and deletion of resources. `as_of` is what identifyCluster answered before the list in `running` was made:
 * volumes that were bound later are not missing from it.
 */
export const registrationMethods = {
  registerHeadServer: method({
    help: "Registers a head server, or brings one back that was OFFLINE. For the agent of a head server.",
    params: z.object({
      ip_data: ipData,
      port,
      boot_id: bootId,
      starting,
      as_of: wireCounter.optional().describe("what identifyCluster said before `running` was made"),
      running: z
        .array(
          z.object({ lvolid: wireId.describe("volume"), epoch: wireCounter.describe("of its attachment") }),
        )
        .max(100_000)
        .optional()
        .describe("volumes that it serves; those that it should, and that are missing, are fenced"),
    }),
    result: wireId.describe("hsvrid"),
    errors: {
      EEXIST: "it is registered and not OFFLINE, or one of its addresses belongs to another server",
      ENOSPC: "no id is left",
    },
  }),
  registerStorageServer: method({
    help: "Registers a storage server, or brings one back that was OFFLINE or HALT. For the agent of a storage server.",
    params: z.object({
      ip_data: ipData,
      port,
      boot_id: bootId,
      starting,
      zone: z.string().max(64).optional().describe("copies of the same data are kept in different zones"),
    }),
    result: wireId.describe("ssvrid"),
    errors: {
      EEXIST:
        "it is registered and neither OFFLINE nor HALT, or one of its addresses belongs to another server",
      ENOSPC: "no id is left",
    },
  }),
  registerPhysicalDisk: method({
    help: "Registers a physical disk, or brings one back that was OFFLINE or HALT: as LOW if it has bad blocks, else as HIGH. For the agent of a storage server.",
    params: z.object({
      ssvrid: wireId.describe("storage server that it is attached to"),
      local_path: path.describe("its path on that server"),
      capacity: z
        .string({ error: "must be a string of sectors" })
        .regex(/^[0-9]{1,15}$/, { error: "must be a string of decimal digits: the disk's sectors" })
        .describe("its size in sectors of 512 bytes, as a string"),
      serial: z.string().min(1).max(256).optional().describe("proves which disk it is"),
      pdskid: wireId.optional().describe("the id on its label"),
      nbd_port: portNumber.optional().describe("port of its export"),
      iscsi_name: iscsiName
        .optional()
        .describe("the iSCSI name of its server, if it is exported by iSCSI and not by NBD"),
    }),
    result: wireId.describe("pdskid"),
    errors: {
      ENOENT: "there is no disk with this pdskid (any more)",
      EINVAL: "there is no such storage server, the disk is too small, or smaller than it was",
      EBUSY: "it is attached to another storage server, or holds copies and can't move to this one",
      EEXIST: "it is registered and neither OFFLINE nor HALT",
      ENOSPC: "no id is left",
    },
  }),
  deletePhysicalDisk: method({
    help: "Deletes a physical disk that is OFFLINE or FAULTY, or was evacuated.",
    params: z.object({ pdskid: wireInt.describe("physical disk") }),
    result: nothing,
    errors: {
      ENOENT: "there is no such disk",
      EBUSY:
        "it is neither OFFLINE nor FAULTY nor evacuated, holds a last good copy, or is in use by a head server",
    },
  }),
  deleteHeadServer: method({
    help: "Deletes a head server that is OFFLINE or FAULTY. If its agent still runs, it registers again, as a new one.",
    params: z.object({ hsvrid: wireInt.describe("head server") }),
    result: nothing,
    errors: {
      ENOENT: "there is no such head server",
      EBUSY: "it is neither OFFLINE nor FAULTY, or volumes are bound to it",
    },
  }),
  deleteStorageServer: method({
    help: "Deletes a storage server that is OFFLINE or FAULTY, or was evacuated, and its disks. If its agent still runs, it registers again, as a new one, and its disks are refused.",
    params: z.object({ ssvrid: wireInt.describe("storage server") }),
    result: nothing,
    errors: {
      ENOENT: "there is no such storage server",
      EBUSY:
        "it is neither OFFLINE nor FAULTY nor evacuated, holds a last good copy, or is in use by a head server",
    },
  }),
} as const;
