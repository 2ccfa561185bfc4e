import { type Kysely, sql } from "kysely";

/**
 * That a disk or a storage server is being evacuated is a person's wish, which its priority forgets when it is out of use for
 * a while. A mirror that has, or is being given, more members than it should have tells so by a mark, since no row of its
 * members does: those that are too many are found without a look at every mirror.
 */
const statements = [
  `ALTER TABLE disk ADD COLUMN evacuating INTEGER NOT NULL DEFAULT 0 CHECK (evacuating BETWEEN 0 AND 2)`,
  `ALTER TABLE storage_server ADD COLUMN evacuating INTEGER NOT NULL DEFAULT 0 CHECK (evacuating BETWEEN 0 AND 2)`,
  `ALTER TABLE mirror ADD COLUMN surplus INTEGER NOT NULL DEFAULT 0 CHECK (surplus IN (0, 1))`,
  `CREATE INDEX mirror_surplus ON mirror (mirrorid) WHERE surplus = 1`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
