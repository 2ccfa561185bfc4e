import { VasError } from "../../shared/errors.js";
import type { StorageServerInfo } from "../../shared/methods/manager-methods.js";
import { freeSpaceByDisk, listDisks } from "../store/disks.js";
import { resyncsByDisk } from "../store/jobs.js";
import { addressesByServer, allStorageServers } from "../store/servers.js";
import type { Operation } from "./operation.js";

/** @throws VasError ENOENT if the one asked for is not there. */
export const listStorageServers: Operation<
  { readonly ssvrid?: number | undefined },
  StorageServerInfo[]
> = async (tx, { ssvrid }) => {
  const addresses = await addressesByServer(tx, "storage");
  const free = await freeSpaceByDisk(tx);
  const resyncs = await resyncsByDisk(tx);
  const sums = new Map<number, { available: number; capacity: number; resync: number }>();
  for (const disk of await listDisks(tx, ssvrid)) {
    const sum = sums.get(disk.ssvrid) ?? { available: 0, capacity: 0, resync: 0 };
    sum.available += free.get(disk.pdskid) ?? 0;
    sum.capacity += disk.capacity;
    sum.resync += resyncs.get(disk.pdskid) ?? 0;
    sums.set(disk.ssvrid, sum);
  }
  const infos = (await allStorageServers(tx))
    .filter((server) => ssvrid === undefined || server.ssvrid === ssvrid)
    .map((server) => ({
      ssvrid: server.ssvrid,
      priority: server.priority,
      ip_data: addresses.get(server.ssvrid) ?? [],
      ...(sums.get(server.ssvrid) ?? { available: 0, capacity: 0, resync: 0 }),
      zone: server.zone,
    }));
  if (ssvrid !== undefined && infos.length === 0)
    throw new VasError("ENOENT", `ssvrid: there is no storage server ${ssvrid}`);
  return infos;
};
