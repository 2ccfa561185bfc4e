import { type Kysely, sql } from "kysely";

/**
 * Copies are compared from time to time: how far that is with each mirror, and which gigabytes of one were found to differ.
 * Both go with their mirror.
 */
const statements = [
  `CREATE TABLE comparison (
     mirrorid INTEGER PRIMARY KEY REFERENCES mirror (mirrorid) ON DELETE CASCADE,
     position INTEGER NOT NULL CHECK (position >= 0), compared_at INTEGER NOT NULL)`,
  `CREATE TABLE difference (
     mirrorid INTEGER NOT NULL REFERENCES mirror (mirrorid) ON DELETE CASCADE,
     gigabyte INTEGER NOT NULL, regions INTEGER NOT NULL, byte INTEGER NOT NULL, copies TEXT NOT NULL,
     PRIMARY KEY (mirrorid, gigabyte)) WITHOUT ROWID`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
