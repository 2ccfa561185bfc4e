import { type Kysely, sql } from "kysely";

/** Every commit has a number, so that what the log tells can be put in order. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`INSERT INTO sequence (name, next) VALUES ('commit', 1)`.execute(db);
}
