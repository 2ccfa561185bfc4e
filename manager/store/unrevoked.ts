import { sql } from "kysely";
import type { UnrevokedRow } from "../../schema/tables.js";
import type { Tx } from "./open-store.js";

export type { UnrevokedRow };

/** Rows of closed epochs that storage servers have not revoked, because they could not be asked. */
export async function insertUnrevoked(tx: Tx, row: UnrevokedRow): Promise<void> {
  await tx
    .insertInto("unrevoked")
    .values(row)
    .onConflict((old) =>
      old.columns(["ssvrid", "lvolid"]).doUpdateSet({ epoch: sql<number>`max(epoch, excluded.epoch)` }),
    )
    .execute();
}

/** Servers with such rows that can be asked, as far as the manager knows. */
export async function serversToRevoke(tx: Tx): Promise<number[]> {
  const rows = await tx
    .selectFrom("unrevoked")
    .innerJoin("storage_server", "storage_server.ssvrid", "unrevoked.ssvrid")
    .select("unrevoked.ssvrid")
    .distinct()
    .where("storage_server.priority", "in", [1, 2, 3])
    .execute();
  return rows.map(({ ssvrid }) => ssvrid);
}

/** Those of one server, by volume. */
export async function unrevokedOfServer(tx: Tx, ssvrid: number): Promise<UnrevokedRow[]> {
  return tx.selectFrom("unrevoked").selectAll().where("ssvrid", "=", ssvrid).orderBy("lvolid").execute();
}

/** The server has revoked that epoch; a later one may have been added since. */
export async function deleteUnrevoked(tx: Tx, { ssvrid, lvolid, epoch }: UnrevokedRow): Promise<void> {
  await tx
    .deleteFrom("unrevoked")
    .where("ssvrid", "=", ssvrid)
    .where("lvolid", "=", lvolid)
    .where("epoch", "<=", epoch)
    .execute();
}
