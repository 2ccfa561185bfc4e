import { sql } from "kysely";
import type { MirrorRow, VolumeRow } from "../../schema/tables.js";
import { type BindEvent, type BindStatus, Priority, type SnapshotStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";

export type { MirrorRow, VolumeRow };

/** Rows of volumes and their mirrors. */
export async function findVolume(tx: Tx, lvolid: number): Promise<VolumeRow | undefined> {
  return tx.selectFrom("volume").selectAll().where("lvolid", "=", lvolid).executeTakeFirst();
}

export async function findVolumeByName(tx: Tx, lvolname: string): Promise<VolumeRow | undefined> {
  return tx.selectFrom("volume").selectAll().where("lvolname", "=", lvolname).executeTakeFirst();
}

export async function allVolumes(tx: Tx): Promise<VolumeRow[]> {
  return tx.selectFrom("volume").selectAll().orderBy("lvolid").execute();
}

/** The snapshots of a volume, by id. */
export async function snapshotsOf(tx: Tx, lvolid: number): Promise<VolumeRow[]> {
  return tx.selectFrom("volume").selectAll().where("origin_lvolid", "=", lvolid).orderBy("lvolid").execute();
}

/**
 * The volume whose attachment a volume's mirrors belong to: a snapshot's origin, or else the volume itself. Its epoch,
 * its head and its grants are those of both.
 */
export async function attachmentOf(tx: Tx, volume: VolumeRow): Promise<VolumeRow> {
  if (volume.origin_lvolid === null) return volume;
  return tx
    .selectFrom("volume")
    .selectAll()
    .where("lvolid", "=", volume.origin_lvolid)
    .executeTakeFirstOrThrow();
}

/** Moves a snapshot along one arrow. @returns false if it is not in `from`. */
export async function moveSnapshot(
  tx: Tx,
  lvolid: number,
  from: SnapshotStatus,
  to: SnapshotStatus,
): Promise<boolean> {
  const result = await tx
    .updateTable("volume")
    .set({ snapshot_status: to })
    .where("lvolid", "=", lvolid)
    .where("snapshot_status", "=", from)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** The content of a snapshot is lost. @returns false if that was known. */
export async function markSnapshotLost(tx: Tx, lvolid: number): Promise<boolean> {
  const result = await tx
    .updateTable("volume")
    .set({ snapshot_lost: 1 })
    .where("lvolid", "=", lvolid)
    .where("origin_lvolid", "is not", null)
    .where("snapshot_lost", "=", 0)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

export async function setLayer(tx: Tx, lvolid: number, layerid: number): Promise<void> {
  await tx.updateTable("volume").set({ layerid }).where("lvolid", "=", lvolid).execute();
}

/** Volumes that are on a head server, or on their way to or from it. */
export async function volumesOfHead(tx: Tx, hsvrid: number): Promise<VolumeRow[]> {
  return tx.selectFrom("volume").selectAll().where("hsvrid", "=", hsvrid).orderBy("lvolid").execute();
}

/** Volumes that are attached for maintenance, or on their way to that. */
export async function maintainedVolumes(tx: Tx): Promise<VolumeRow[]> {
  // A literal, because the planner takes a partial index for no parameter.
  return tx
    .selectFrom("volume")
    .selectAll()
    .where("maintenance", "=", sql.lit(1))
    .orderBy("lvolid")
    .execute();
}

export async function insertVolume(tx: Tx, row: VolumeRow): Promise<void> {
  await tx.insertInto("volume").values(row).execute();
}

export async function deleteVolumeRows(tx: Tx, lvolid: number): Promise<void> {
  await tx.deleteFrom("mirror").where("lvolid", "=", lvolid).execute();
  await tx.deleteFrom("volume").where("lvolid", "=", lvolid).execute();
}

/** A place on the diagram of a volume's binding. */
export interface Binding {
  readonly bind_status: BindStatus;
  readonly bind_event: BindEvent;
}

/**
 * Moves a volume's binding along one arrow.
 *
 * @param change columns that change with it.
 * @returns false if the volume is not in `from`.
 */
export async function moveBinding(
  tx: Tx,
  lvolid: number,
  from: Binding,
  change: Binding &
    Partial<
      Pick<
        VolumeRow,
        "hsvrid" | "epoch" | "epoch_open" | "bind_number" | "grant_version" | "bind_error" | "maintenance"
      >
    >,
): Promise<boolean> {
  const result = await tx
    .updateTable("volume")
    .set(change)
    .where("lvolid", "=", lvolid)
    .where("bind_status", "=", from.bind_status)
    .where("bind_event", "=", from.bind_event)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** From here on no report of this epoch is accepted. */
export async function closeEpoch(tx: Tx, lvolid: number): Promise<void> {
  await tx.updateTable("volume").set({ epoch_open: 0 }).where("lvolid", "=", lvolid).execute();
}

/** The set of extents that the volume may touch has changed: grants sent from now on supersede the earlier ones. */
export async function raiseGrantVersion(tx: Tx, lvolid: number): Promise<void> {
  await tx
    .updateTable("volume")
    .set({ grant_version: sql<number>`grant_version + 1` })
    .where("lvolid", "=", lvolid)
    .execute();
}

export async function insertMirrors(tx: Tx, rows: readonly MirrorRow[]): Promise<void> {
  for (let at = 0; at < rows.length; at += INSERT_ROWS) {
    await tx
      .insertInto("mirror")
      .values(rows.slice(at, at + INSERT_ROWS))
      .execute();
  }
}

/** Rows of one INSERT: 5 to 9 columns each, far below SQLite's 32,766 parameters. */
const INSERT_ROWS = 200;

export async function findMirror(tx: Tx, mirrorid: number): Promise<MirrorRow | undefined> {
  return tx.selectFrom("mirror").selectAll().where("mirrorid", "=", mirrorid).executeTakeFirst();
}

export async function mirrorsOfVolume(tx: Tx, lvolid: number): Promise<MirrorRow[]> {
  return tx.selectFrom("mirror").selectAll().where("lvolid", "=", lvolid).orderBy("offset").execute();
}

/** Raises a mirror's membership version (rule R1). @returns the new one. */
export async function raiseMirrorVersion(tx: Tx, mirrorid: number): Promise<number> {
  const row = await tx
    .updateTable("mirror")
    .set({ version: sql<number>`version + 1` })
    .where("mirrorid", "=", mirrorid)
    .returning("version")
    .executeTakeFirstOrThrow();
  return row.version;
}

/** The mirror has its redundancy of live members again. */
export async function clearShort(tx: Tx, mirrorid: number): Promise<void> {
  await tx.updateTable("mirror").set({ short: 0 }).where("mirrorid", "=", mirrorid).execute();
}

/** Whether a mirror has more members than it should have. */
export async function setSurplus(tx: Tx, mirrorid: number, surplus: 0 | 1): Promise<void> {
  await tx
    .updateTable("mirror")
    .set({ surplus })
    .where("mirrorid", "=", mirrorid)
    .where("surplus", "<>", surplus)
    .execute();
}

/** Ids of the volumes of which a member is neither INSYNC nor ALLOCATED while there are too few others to rely on, or is missing. */
export async function degradedVolumes(tx: Tx): Promise<Set<number>> {
  const out = tx
    .selectFrom("extent")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .select("mirror.lvolid")
    .where("extent.status", "in", [3, 4])
    .where(
      sql<boolean>`mirror.surplus = 0 OR volume.redundancy > (
        SELECT count(*) FROM extent AS good JOIN disk ON disk.pdskid = good.pdskid
          JOIN storage_server ON storage_server.ssvrid = disk.ssvrid
        WHERE good.mirrorid = mirror.mirrorid AND good.status IN (1, 2) AND good.lost = 0
          AND disk.priority <> ${Priority.FAULTY} AND storage_server.lost = 0)`,
    );
  // A literal, because the planner takes a partial index for no parameter.
  const short = tx.selectFrom("mirror").select("lvolid").where("short", "=", sql.lit(1));
  const rows = await out.union(short).execute();
  return new Set(rows.map((row) => row.lvolid));
}
