import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { Kysely } from "kysely";
import { expect, test } from "vitest";
import { migrate } from "../../manager/store/migrate.js";
import { openStore } from "../../manager/store/open-store.js";
import { SqliteDialect } from "../../manager/store/sqlite-dialect.js";
import { migrations } from "../../schema/migrations/index.js";
import type { Database } from "../../schema/tables.js";
import { temporaryFolder } from "./temporary-folder.js";

test("jobs from before they were described are about what their kind and subject say", async () => {
  const path = join(await temporaryFolder(), "manager.db");
  const file = new SqliteDatabase(path);
  const before = Object.entries(migrations).filter(([name]) => name < "0004");
  const old = new Kysely<Database>({ dialect: new SqliteDialect(file) });
  await migrate(old, Object.fromEntries(before), path);
  file.exec(`INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at)
    VALUES ('shred', 26, 1, 1, 'begin', '{}', 0, 0), ('attach', 2, 2, 1, 'begin', '{}', 0, 0)`);
  await old.destroy();

  const store = await openStore(path);
  const jobs = await store.db.selectFrom("job").select("description").orderBy("jobid").execute();
  expect(jobs.map(({ description }) => description)).toEqual(["dext-0000001a", "lvol-00000002"]);
  await store.close();
});
