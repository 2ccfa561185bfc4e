import type { HeadServerRow, ServerAddressRow, StorageServerRow } from "../../schema/tables.js";
import { differsFrom } from "./differs-from.js";
import type { Tx } from "./open-store.js";

export type { HeadServerRow, StorageServerRow };

/** Rows of head and storage servers, and their data addresses. */
export type ServerKind = ServerAddressRow["kind"];

export async function findHeadServer(tx: Tx, hsvrid: number): Promise<HeadServerRow | undefined> {
  return tx.selectFrom("head_server").selectAll().where("hsvrid", "=", hsvrid).executeTakeFirst();
}

export async function findStorageServer(tx: Tx, ssvrid: number): Promise<StorageServerRow | undefined> {
  return tx.selectFrom("storage_server").selectAll().where("ssvrid", "=", ssvrid).executeTakeFirst();
}

export async function allHeadServers(tx: Tx): Promise<HeadServerRow[]> {
  return tx.selectFrom("head_server").selectAll().orderBy("hsvrid").execute();
}

export async function allStorageServers(tx: Tx): Promise<StorageServerRow[]> {
  return tx.selectFrom("storage_server").selectAll().orderBy("ssvrid").execute();
}

/** Storage servers that were declared lost. */
export async function lostStorageServers(tx: Tx): Promise<Set<number>> {
  const rows = await tx.selectFrom("storage_server").select("ssvrid").where("lost", "=", 1).execute();
  return new Set(rows.map(({ ssvrid }) => ssvrid));
}

/** Addresses of every server of a kind, in the order in which they are tried. */
export async function addressesByServer(tx: Tx, kind: ServerKind): Promise<Map<number, string[]>> {
  const rows = await tx
    .selectFrom("server_address")
    .select(["server_id", "address"])
    .where("kind", "=", kind)
    .orderBy("server_id")
    .orderBy("position")
    .execute();
  const result = new Map<number, string[]>();
  for (const row of rows) {
    const list = result.get(row.server_id);
    if (list === undefined) result.set(row.server_id, [row.address]);
    else list.push(row.address);
  }
  return result;
}

export async function addressesOf(tx: Tx, kind: ServerKind, serverId: number): Promise<string[]> {
  const rows = await tx
    .selectFrom("server_address")
    .select("address")
    .where("kind", "=", kind)
    .where("server_id", "=", serverId)
    .orderBy("position")
    .execute();
  return rows.map((row) => row.address);
}

/** The servers of a kind to which any of these addresses belongs. */
export async function serversWithAddress(
  tx: Tx,
  kind: ServerKind,
  addresses: readonly string[],
): Promise<number[]> {
  const rows = await tx
    .selectFrom("server_address")
    .select("server_id")
    .distinct()
    .where("kind", "=", kind)
    .where("address", "in", addresses)
    .execute();
  return rows.map((row) => row.server_id);
}

export async function insertAddresses(
  tx: Tx,
  kind: ServerKind,
  serverId: number,
  addresses: readonly string[],
): Promise<void> {
  await tx
    .insertInto("server_address")
    .values(addresses.map((address, position) => ({ kind, address, server_id: serverId, position })))
    .execute();
}

export async function insertHeadServer(tx: Tx, row: HeadServerRow): Promise<void> {
  await tx.insertInto("head_server").values(row).execute();
}

export async function insertStorageServer(tx: Tx, row: StorageServerRow): Promise<void> {
  await tx.insertInto("storage_server").values(row).execute();
}

export async function updateHeadServer(
  tx: Tx,
  hsvrid: number,
  change: Partial<Omit<HeadServerRow, "hsvrid">>,
): Promise<void> {
  await tx
    .updateTable("head_server")
    .set(change)
    .where("hsvrid", "=", hsvrid)
    .where(differsFrom(change))
    .execute();
}

export async function updateStorageServer(
  tx: Tx,
  ssvrid: number,
  change: Partial<Omit<StorageServerRow, "ssvrid">>,
): Promise<void> {
  await tx
    .updateTable("storage_server")
    .set(change)
    .where("ssvrid", "=", ssvrid)
    .where(differsFrom(change))
    .execute();
}

/** The server must be named by no disk and no volume any more. */
export async function deleteServer(tx: Tx, kind: ServerKind, id: number): Promise<void> {
  await tx.deleteFrom("server_address").where("kind", "=", kind).where("server_id", "=", id).execute();
  if (kind === "head") await tx.deleteFrom("head_server").where("hsvrid", "=", id).execute();
  else {
    await tx.deleteFrom("unrevoked").where("ssvrid", "=", id).execute();
    await tx.deleteFrom("storage_server").where("ssvrid", "=", id).execute();
  }
}
