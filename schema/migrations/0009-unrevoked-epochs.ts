import { type Kysely, sql } from "kysely";

/**
 * Storage servers that could not be asked to revoke an epoch, when a detach or a fence did not have to wait for them: it is
 * made good when they are back. Of the epochs that were closed before, nobody knows where that is so: everywhere, perhaps.
 */
const statements = [
  `CREATE TABLE unrevoked (
     ssvrid INTEGER NOT NULL REFERENCES storage_server (ssvrid), lvolid INTEGER NOT NULL, epoch INTEGER NOT NULL,
     PRIMARY KEY (ssvrid, lvolid)) WITHOUT ROWID`,
  `INSERT INTO unrevoked (ssvrid, lvolid, epoch)
     SELECT DISTINCT disk.ssvrid, coalesce(volume.origin_lvolid, volume.lvolid), attachment.epoch
     FROM volume JOIN mirror ON mirror.lvolid = volume.lvolid JOIN extent ON extent.mirrorid = mirror.mirrorid
     JOIN disk ON disk.pdskid = extent.pdskid
     JOIN volume AS attachment ON attachment.lvolid = coalesce(volume.origin_lvolid, volume.lvolid)
     WHERE attachment.epoch > 0 AND attachment.epoch_open = 0 AND attachment.hsvrid IS NULL`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
