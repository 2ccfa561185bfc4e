import { type Kysely, sql } from "kysely";

/**
 * Snapshots are volumes with an origin. `layerid` is the id of the SNAPSHOT node of a snapshot, and of the SNAPSHOT-ORIGIN
 * node of a volume that has, or had, snapshots.
 */
const statements = [
  `ALTER TABLE volume ADD COLUMN origin_lvolid INTEGER REFERENCES volume (lvolid)`,
  `ALTER TABLE volume ADD COLUMN layerid INTEGER`,
  `ALTER TABLE volume ADD COLUMN snapshot_status INTEGER NOT NULL DEFAULT 0
     CHECK (snapshot_status BETWEEN 0 AND 3 AND (snapshot_status = 0) = (origin_lvolid IS NULL))`,
  `ALTER TABLE volume ADD COLUMN snapshot_lost INTEGER NOT NULL DEFAULT 0
     CHECK (snapshot_lost = 0 OR origin_lvolid IS NOT NULL)`,
  `CREATE UNIQUE INDEX volume_layer ON volume (layerid) WHERE layerid IS NOT NULL`,
  `CREATE INDEX volume_snapshots ON volume (origin_lvolid) WHERE origin_lvolid IS NOT NULL`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
