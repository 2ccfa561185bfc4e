// Time of one query through Kysely: the store's own dialect against Kysely's SqliteDialect.
// Run: npm run build && node bench/store-driver.mjs
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { Kysely, SqliteDialect as KyselySqliteDialect, sql } from "kysely";
import { SqliteDialect } from "../dist/manager/store/sqlite-dialect.js";

const QUERIES = 20_000;
const ROWS = 1_000;

const folder = mkdtempSync(join(tmpdir(), "vas-bench-"));

function openDatabase(name) {
  const database = new Sqlite(join(folder, name));
  database.pragma("journal_mode = WAL");
  database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT)");
  const insert = database.prepare("INSERT INTO t VALUES (?, ?, ?, ?)");
  for (let id = 1; id <= ROWS; id++) insert.run(id, id * 7, "b", "c");
  return database;
}

async function measure(run) {
  await run(QUERIES / 4);
  const start = performance.now();
  await run(QUERIES);
  return (((performance.now() - start) * 1000) / QUERIES).toFixed(1);
}

async function measureDialect(name, dialect) {
  const db = new Kysely({ dialect });
  const select = await measure((count) =>
    db.transaction().execute(async (tx) => {
      for (let at = 0; at < count; at++) {
        await tx
          .selectFrom("t")
          .selectAll()
          .where("id", "=", (at % ROWS) + 1)
          .executeTakeFirst();
      }
    }),
  );
  const update = await measure((count) =>
    db.transaction().execute(async (tx) => {
      for (let at = 0; at < count; at++) {
        await tx
          .updateTable("t")
          .set({ a: at })
          .where("id", "=", (at % ROWS) + 1)
          .execute();
      }
    }),
  );
  const compiled = sql`SELECT * FROM t WHERE id = ${1}`.compile(db);
  const execute = await measure((count) =>
    db.transaction().execute(async (tx) => {
      for (let at = 0; at < count; at++) await tx.executeQuery(compiled);
    }),
  );
  console.log(`${name}: select ${select} µs, update ${update} µs; already compiled select ${execute} µs`);
  await db.destroy();
}

async function measureRaw() {
  const database = openDatabase("raw.db");
  const statement = database.prepare("SELECT * FROM t WHERE id = ?");
  const select = await measure(async (count) => {
    for (let at = 0; at < count; at++) statement.get((at % ROWS) + 1);
  });
  console.log(`better-sqlite3, prepared: select ${select} µs`);
  database.close();
}

await measureDialect("Kysely's dialect", new KyselySqliteDialect({ database: openDatabase("theirs.db") }));
await measureDialect("the store's dialect", new SqliteDialect(openDatabase("ours.db")));
await measureRaw();
rmSync(folder, { recursive: true });
