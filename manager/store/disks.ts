import { sql } from "kysely";
import type { DiskRow } from "../../schema/tables.js";
import type { Priority } from "../../shared/states.js";
import { differsFrom } from "./differs-from.js";
import type { Tx } from "./open-store.js";

export type { DiskRow };

/** Rows of physical disks. */
export async function findDisk(tx: Tx, pdskid: number): Promise<DiskRow | undefined> {
  return tx.selectFrom("disk").selectAll().where("pdskid", "=", pdskid).executeTakeFirst();
}

export async function findDiskByPath(
  tx: Tx,
  ssvrid: number,
  localPath: string,
): Promise<DiskRow | undefined> {
  return tx
    .selectFrom("disk")
    .selectAll()
    .where("ssvrid", "=", ssvrid)
    .where("local_path", "=", localPath)
    .executeTakeFirst();
}

export async function findDiskBySerial(tx: Tx, serial: string): Promise<DiskRow | undefined> {
  return tx.selectFrom("disk").selectAll().where("serial", "=", serial).executeTakeFirst();
}

/** All disks, or those of one storage server, by id. */
export async function listDisks(tx: Tx, ssvrid?: number): Promise<DiskRow[]> {
  let query = tx.selectFrom("disk").selectAll().orderBy("pdskid");
  if (ssvrid !== undefined) query = query.where("ssvrid", "=", ssvrid);
  return query.execute();
}

export async function insertDisk(tx: Tx, row: DiskRow): Promise<void> {
  await tx.insertInto("disk").values(row).execute();
}

export async function updateDisk(
  tx: Tx,
  pdskid: number,
  change: Partial<Omit<DiskRow, "pdskid">>,
): Promise<void> {
  await tx.updateTable("disk").set(change).where("pdskid", "=", pdskid).where(differsFrom(change)).execute();
}

/** Moves the disks of a server that are in one of `from` to another priority. */
export async function moveDisksOfServer(
  tx: Tx,
  ssvrid: number,
  from: readonly Priority[],
  to: Priority,
): Promise<void> {
  await tx
    .updateTable("disk")
    .set({ priority: to })
    .where("ssvrid", "=", ssvrid)
    .where("priority", "in", from)
    .execute();
}

/** Moves all disks of the cluster, except those in one of `except`, to another priority. */
export async function moveAllDisks(tx: Tx, except: readonly Priority[], to: Priority): Promise<void> {
  await tx.updateTable("disk").set({ priority: to }).where("priority", "not in", except).execute();
}

/** Gives out the next extent generations of a disk (rule R4): `count` numbers, the last one returned. */
export async function raiseGeneration(tx: Tx, pdskid: number, count = 1): Promise<number> {
  const row = await tx
    .updateTable("disk")
    .set({ generation: sql<number>`generation + ${count}` })
    .where("pdskid", "=", pdskid)
    .returning("generation")
    .executeTakeFirstOrThrow();
  return row.generation;
}

/** GB of clean space by disk; disks without any are absent. */
export async function freeSpaceByDisk(tx: Tx): Promise<Map<number, number>> {
  const rows = await tx
    .selectFrom("free_range")
    .select(["pdskid", sql<number>`sum(length)`.as("total")])
    .groupBy("pdskid")
    .execute();
  return new Map(rows.map((row) => [row.pdskid, row.total]));
}

/** GB that wait for their shred, by disk; disks without any are absent. */
export async function unshreddedByDisk(tx: Tx): Promise<Map<number, number>> {
  const rows = await tx
    .selectFrom("extent")
    .select(["pdskid", sql<number>`sum(length)`.as("total")])
    .where("status", "=", 5)
    .groupBy("pdskid")
    .execute();
  return new Map(rows.map((row) => [row.pdskid, row.total]));
}

/** Whether disks are reached by iSCSI in this cluster. */
export async function anyIscsiDisk(tx: Tx): Promise<boolean> {
  const found = await tx.selectFrom("disk").where("iscsi_name", "<>", "").select("pdskid").limit(1).execute();
  return found.length > 0;
}
