import { type Kysely, sql } from "kysely";

/** An attachment that no user asked for: a head brings the copies of a detached volume in sync. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `ALTER TABLE volume ADD COLUMN maintenance INTEGER NOT NULL DEFAULT 0
         CHECK (maintenance = 0 OR (maintenance = 1 AND hsvrid IS NOT NULL AND bind_status IN (0, 1)))`,
    )
    .execute(db);
  await sql.raw(`CREATE INDEX volume_maintained ON volume (lvolid) WHERE maintenance = 1`).execute(db);
}
