import { showHeadServer, showStorageServer } from "../../../shared/ids.js";
import type { Tx } from "../open-store.js";

/** Addresses belong to servers. (A server of which no address is left can't be asked, but is no damage.) */
export async function checkServers(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("server_address")
    .leftJoin("head_server", "head_server.hsvrid", "server_address.server_id")
    .leftJoin("storage_server", "storage_server.ssvrid", "server_address.server_id")
    .where((of) =>
      of.or([
        of.and([of("kind", "=", "head"), of("head_server.hsvrid", "is", null)]),
        of.and([of("kind", "=", "storage"), of("storage_server.ssvrid", "is", null)]),
      ]),
    )
    .select(["kind", "address", "server_id"])
    .orderBy("address")
    .execute();
  return rows.map(({ kind, address, server_id }) => {
    const server = kind === "head" ? showHeadServer(server_id) : showStorageServer(server_id);
    return `address ${address} belongs to ${server}, which does not exist`;
  });
}
