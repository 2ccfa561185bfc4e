import { type Kysely, sql } from "kysely";

/** Members that were declared failed are looked for at each round of healing: without a look at every extent. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`CREATE INDEX extent_lost ON extent (mirrorid) WHERE lost = 1`).execute(db);
}
