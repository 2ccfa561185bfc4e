import { VasError } from "../../shared/errors.js";
import type { HeadServerInfo } from "../../shared/methods/manager-methods.js";
import { resyncsByHead } from "../store/jobs.js";
import { addressesByServer, allHeadServers } from "../store/servers.js";
import type { Operation } from "./operation.js";

/** @throws VasError ENOENT if the one asked for is not there. */
export const listHeadServers: Operation<{ readonly hsvrid?: number | undefined }, HeadServerInfo[]> = async (
  tx,
  { hsvrid },
) => {
  const addresses = await addressesByServer(tx, "head");
  const resyncs = await resyncsByHead(tx);
  const infos = (await allHeadServers(tx))
    .filter((server) => hsvrid === undefined || server.hsvrid === hsvrid)
    .map((server) => ({
      hsvrid: server.hsvrid,
      priority: server.priority,
      ip_data: addresses.get(server.hsvrid) ?? [],
      resync: resyncs.get(server.hsvrid) ?? 0,
    }));
  if (hsvrid !== undefined && infos.length === 0)
    throw new VasError("ENOENT", `hsvrid: there is no head server ${hsvrid}`);
  return infos;
};
