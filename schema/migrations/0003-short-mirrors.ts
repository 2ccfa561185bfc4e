import { type Kysely, sql } from "kysely";

/**
 * A mirror from which members were taken without a replacement, because their disk was deleted, has no row that tells so:
 * it is marked, so that it can be found without a look at every mirror. Bad blocks of a disk are known one by one, so that
 * a repeated report is none.
 */
const statements = [
  `ALTER TABLE mirror ADD COLUMN short INTEGER NOT NULL DEFAULT 0 CHECK (short IN (0, 1))`,
  `CREATE INDEX mirror_short ON mirror (mirrorid) WHERE short = 1`,
  `CREATE TABLE bad_block (
     pdskid INTEGER NOT NULL REFERENCES disk (pdskid), block INTEGER NOT NULL CHECK (block >= 0),
     PRIMARY KEY (pdskid, block)) WITHOUT ROWID`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
