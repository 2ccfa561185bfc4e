import { type Kysely, type Migration, Migrator } from "kysely";
import type { Database } from "../../schema/tables.js";
import type { Log } from "../../shared/log.js";

const MIGRATION_TABLE = "schema_migration";
const LOCK_TABLE = "schema_migration_lock";

/**
 * Brings a database to the schema of this program, in one transaction.
 *
 * @throws Error with a sentence for the operator if the database has migrations that this program does not know, or
 * if one fails.
 */
export async function migrate(
  db: Kysely<Database>,
  known: Readonly<Record<string, Migration>>,
  path: string,
  log?: Log,
): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...known }) },
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: LOCK_TABLE,
  });
  await refuseNewer(db, known, path);
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) {
    const failed = results?.find((result) => result.status === "Error")?.migrationName ?? "a migration";
    throw new Error(
      `the database ${path} can't be brought to this version's schema: ${failed} failed; it was left as it was`,
      {
        cause: error,
      },
    );
  }
  for (const result of results ?? [])
    log?.info({ migration: result.migrationName, path }, "migrated the database");
}

/** Done here and not left to the Migrator, whose words for it ("corrupted migrations") don't help an operator. */
async function refuseNewer(
  db: Kysely<Database>,
  known: Readonly<Record<string, Migration>>,
  path: string,
): Promise<void> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === MIGRATION_TABLE)) return;
  const applied = await db
    .withTables<{ [MIGRATION_TABLE]: { name: string } }>()
    .selectFrom(MIGRATION_TABLE)
    .select("name")
    .orderBy("name")
    .execute();
  const unknown = applied.map((row) => row.name).filter((name) => !Object.hasOwn(known, name));
  if (unknown.length === 0) return;
  throw new Error(
    `the database ${path} has migrations that this program does not know (${unknown.join(", ")}): a newer version of ` +
      "Vastsky has used it; start that version or a later one, or restore a backup from before the upgrade",
  );
}
