import { VasError } from "../../shared/errors.js";
import type { DiskInfo } from "../../shared/methods/manager-methods.js";
import { freeSpaceByDisk, listDisks, unshreddedByDisk } from "../store/disks.js";
import { resyncsByDisk } from "../store/jobs.js";
import { addressesByServer, findStorageServer } from "../store/servers.js";
import { exportPaths } from "./layout-tree.js";
import type { Operation } from "./operation.js";

/** @throws VasError ENOENT if there is no such storage server. */
export const listPhysicalDisks: Operation<{ readonly ssvrid?: number | undefined }, DiskInfo[]> = async (
  tx,
  { ssvrid },
) => {
  if (ssvrid !== undefined && (await findStorageServer(tx, ssvrid)) === undefined) {
    throw new VasError("ENOENT", `ssvrid: there is no storage server ${ssvrid}`);
  }
  const addresses = await addressesByServer(tx, "storage");
  const free = await freeSpaceByDisk(tx);
  const unshredded = await unshreddedByDisk(tx);
  const resyncs = await resyncsByDisk(tx);
  return (await listDisks(tx, ssvrid)).map((disk) => ({
    ssvrid: disk.ssvrid,
    pdskid: disk.pdskid,
    priority: disk.priority,
    iscsi_path: exportPaths(addresses.get(disk.ssvrid) ?? [], disk),
    local_path: disk.local_path,
    available: free.get(disk.pdskid) ?? 0,
    capacity: disk.capacity,
    resync: resyncs.get(disk.pdskid) ?? 0,
    unshredded: unshredded.get(disk.pdskid) ?? 0,
  }));
};
