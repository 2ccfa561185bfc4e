import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import SqliteDatabase from "better-sqlite3";
import { Kysely, Migrator, SqliteDialect, sql } from "kysely";
import { describe, expect, onTestFinished, test } from "vitest";
import { openStore, type Store } from "../../manager/store/open-store.js";
import { migrations } from "../../schema/migrations/index.js";
import { VasError } from "../../shared/errors.js";
import { temporaryFolder, temporaryStore } from "./temporary-folder.js";

const pragma = async (store: Store, name: string): Promise<unknown> => {
  const { rows } = await sql.raw<Record<string, unknown>>(`PRAGMA ${name}`).execute(store.db);
  return Object.values(rows[0] ?? {})[0];
};

const putMeta = (store: Store, key: string, value = "") =>
  store.transaction((tx) => tx.insertInto("meta").values({ key, value }).execute());

const metaKeys = async (store: Store): Promise<string[]> =>
  (await store.db.selectFrom("meta").select("key").orderBy("key").execute()).map((row) => row.key);

describe("opening the store", () => {
  test("creates the folder and the schema, and keeps what was committed", async () => {
    const path = join(await temporaryFolder(), "deep", "er", "manager.db");
    const first = await openStore(path);
    await putMeta(first, "cluster", "c");
    await first.close();
    const second = await openStore(path);
    expect(await metaKeys(second)).toEqual(["cluster"]);
    await second.close();
  });

  test("turns on what durability and consistency need, at every open", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    await (await openStore(path)).close();
    const store = await openStore(path);
    expect(await pragma(store, "journal_mode")).toBe("wal");
    expect(await pragma(store, "synchronous")).toBe(2);
    expect(await pragma(store, "foreign_keys")).toBe(1);
    await store.close();
  });

  test("is refused while this process has the file open, under any of its names", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "manager.db");
    const store = await openStore(path);
    await symlink(path, join(folder, "alias.db"));
    await expect(openStore(path)).rejects.toThrow(/in use by another manager/);
    await expect(openStore(join(folder, "alias.db"))).rejects.toThrow(/in use by another manager/);
    await store.close();
    await (await openStore(path)).close();
  });

  test("is refused for a database of a newer version, which is left as it was", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    const store = await openStore(path);
    await sql`INSERT INTO schema_migration (name, timestamp) VALUES ('9999-later', '2030-01-01')`.execute(
      store.db,
    );
    await store.close();
    await expect(openStore(path)).rejects.toThrow(/does not know \(9999-later\).*start that version/);
    await expect(openStore(path), "the hold was given up").rejects.toThrow(/9999-later/);
  });

  test("brings a database of an older version to this one's schema, and keeps what is in it", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    const older = new SqliteDatabase(path);
    const known = Object.entries(migrations).slice(0, 2);
    const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: older }) });
    const provider = { getMigrations: async () => Object.fromEntries(known) };
    const { error } = await new Migrator({
      db,
      provider,
      migrationTableName: "schema_migration",
      migrationLockTableName: "schema_migration_lock",
    }).migrateToLatest();
    expect(error).toBeUndefined();
    older.exec(`INSERT INTO volume (lvolid, lvolname, linearid, redundancy, capacity, ctime, bind_status, bind_event)
      VALUES (1, 'v', 2, 3, 1, 0, 0, 0)`);
    older.exec('INSERT INTO mirror (mirrorid, lvolid, "offset", length) VALUES (3, 1, 0, 1)');
    await db.destroy();
    const store = await openStore(path);
    expect(await store.db.selectFrom("mirror").select(["mirrorid", "short"]).execute()).toEqual([
      { mirrorid: 3, short: 0 },
    ]);
    expect(await store.db.selectFrom("bad_block").selectAll().execute()).toEqual([]);
    await store.close();
  });

  test("is refused for a file that is no database, with its path in the sentence", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    await writeFile(path, "this is not a database, whatever its name says".repeat(100));
    await expect(openStore(path)).rejects.toThrow(`can't open the database ${path}`);
  });

  test("is refused where a folder is in the way, with its path in the sentence", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    await mkdir(`${path}.lock`, { recursive: true });
    await expect(openStore(path)).rejects.toThrow(`can't lock ${path}.lock`);
    await mkdir(`${path}2`);
    await expect(openStore(`${path}2`)).rejects.toThrow(`can't open the database ${path}2`);
  });

  test("is refused where no folder can be made", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    await expect(openStore(join(file, "manager.db"))).rejects.toThrow(/can't create the folder/);
  });
});

describe("a transaction", () => {
  test("never has another one's statements between its own", async () => {
    const store = await temporaryStore();
    await putMeta(store, "n", "0");
    const increment = () =>
      store.transaction(async (tx) => {
        const { value } = await tx
          .selectFrom("meta")
          .select("value")
          .where("key", "=", "n")
          .executeTakeFirstOrThrow();
        await new Promise((resolve) => setImmediate(resolve));
        await tx
          .updateTable("meta")
          .set({ value: String(Number(value) + 1) })
          .where("key", "=", "n")
          .execute();
      });
    await Promise.all(Array.from({ length: 50 }, increment));
    expect(await store.db.selectFrom("meta").selectAll().execute()).toEqual([{ key: "n", value: "50" }]);
  });

  test("hides its rows from single statements until it has committed", async () => {
    const store = await temporaryStore();
    const seen: number[] = [];
    const write = store.transaction(async (tx) => {
      await tx.insertInto("meta").values({ key: "a", value: "" }).execute();
      await new Promise((resolve) => setImmediate(resolve));
      await tx.insertInto("meta").values({ key: "b", value: "" }).execute();
    });
    const read = metaKeys(store).then((keys) => seen.push(keys.length));
    await Promise.all([write, read]);
    expect(seen).toEqual([2]);
  });

  test("runs in the order in which it was asked for", async () => {
    const store = await temporaryStore();
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => store.transaction(async () => void order.push(index))),
    );
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  test("that throws changes nothing, and the next one works", async () => {
    const store = await temporaryStore();
    const failure = new VasError("EBUSY", "no");
    const failing = store.transaction(async (tx) => {
      await tx.insertInto("meta").values({ key: "a", value: "" }).execute();
      throw failure;
    });
    await expect(failing).rejects.toBe(failure);
    await putMeta(store, "b");
    expect(await metaKeys(store)).toEqual(["b"]);
  });

  test("whose COMMIT fails is rolled back, and the next one works", async () => {
    const store = await temporaryStore();
    const failing = store.transaction(async (tx) => {
      await sql`PRAGMA defer_foreign_keys = ON`.execute(tx);
      await tx.insertInto("free_range").values({ pdskid: 7, offset: 0, length: 1 }).execute();
    });
    await expect(failing).rejects.toThrow(/FOREIGN KEY/);
    await putMeta(store, "b");
    expect(await store.db.selectFrom("free_range").selectAll().execute()).toEqual([]);
    expect(await metaKeys(store)).toEqual(["b"]);
  });

  test("that SQLite has ended by itself runs no further statements", async () => {
    const store = await temporaryStore();
    const failing = store.transaction(async (tx) => {
      await tx.insertInto("meta").values({ key: "a", value: "" }).execute();
      const conflict = sql`INSERT OR ROLLBACK INTO meta (key, value) VALUES ('a', '')`.execute(tx);
      await expect(conflict).rejects.toThrow(/UNIQUE/);
      await tx.insertInto("meta").values({ key: "b", value: "" }).execute();
    });
    await expect(failing).rejects.toThrow(/has rolled this transaction back/);
    expect(await metaKeys(store)).toEqual([]);
  });

  test("that SQLite has ended by itself is not taken for committed", async () => {
    const store = await temporaryStore();
    const failing = store.transaction(async (tx) => {
      await tx.insertInto("meta").values({ key: "a", value: "" }).execute();
      await sql`INSERT OR ROLLBACK INTO meta (key, value) VALUES ('a', '')`.execute(tx).catch(() => {});
    });
    await expect(failing).rejects.toThrow(/has rolled this transaction back/);
  });

  test("that was begun before close is finished first", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    const store = await openStore(path);
    const write = putMeta(store, "a");
    await store.close();
    await write;
    await store.close();
    const again = await openStore(path);
    expect(await metaKeys(again)).toEqual(["a"]);
    await again.close();
  });
});

describe("a full disk", () => {
  const big = "x".repeat(10_000);

  async function fill(store: Store): Promise<{ kept: string[]; error: unknown }> {
    const kept: string[] = [];
    for (;;) {
      const key = `k${String(kept.length).padStart(6, "0")}`;
      try {
        await putMeta(store, key, big);
      } catch (error) {
        return { kept, error };
      }
      kept.push(key);
    }
  }

  async function expectRecovery(store: Store, makeRoom: () => Promise<void>): Promise<void> {
    const { kept, error } = await fill(store);
    expect(error).toBeInstanceOf(VasError);
    expect(error).toMatchObject({
      errno: "ENOSPC",
      sentence: expect.stringContaining("the manager's disk is full"),
    });
    expect(kept.length).toBeGreaterThan(0);
    expect(await metaKeys(store)).toEqual(kept);
    await makeRoom();
    await putMeta(store, "z", big);
    expect(await metaKeys(store)).toEqual([...kept, "z"]);
    expect(await pragma(store, "integrity_check")).toBe("ok");
  }

  test("is reported as ENOSPC, costs nothing that was committed, and is over when there is room", async () => {
    const store = await temporaryStore();
    await sql.raw("PRAGMA max_page_count = 120").execute(store.db);
    await expectRecovery(store, async () => {
      await sql.raw("PRAGMA max_page_count = 100000").execute(store.db);
    });
  });

  test.skipIf(process.getuid?.() !== 0)("on a real file system behaves the same", async ({ skip }) => {
    const mountPoint = join(await temporaryFolder(), "small");
    await mkdir(mountPoint);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", mountPoint], { stdio: "ignore" });
    } catch {
      skip("mounting is not allowed here");
    }
    onTestFinished(() => void execFileSync("umount", ["-l", mountPoint]));
    const ballast = join(mountPoint, "ballast");
    await writeFile(ballast, Buffer.alloc(512 * 1024));
    const store = await openStore(join(mountPoint, "manager.db"));
    onTestFinished(() => store.close());
    await expectRecovery(store, () => rm(ballast));
  });
});

describe("another process", () => {
  /** Commits rows until it is killed; see commit-until-killed.mjs. */
  function startWriter(path: string): { child: ChildProcess; acknowledged: AsyncIterableIterator<string> } {
    const script = new URL("commit-until-killed.mjs", import.meta.url).pathname;
    const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    return { child, acknowledged: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  }

  test("that has the store open is the only one; killed, it leaves nothing in the way", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    const { child, acknowledged } = startWriter(path);
    await acknowledged.next();
    await expect(openStore(path)).rejects.toThrow(/in use by another manager; stop that one/);
    child.kill("SIGKILL");
    await once(child, "exit");
    await (await openStore(path)).close();
  });

  test("killed during commits loses nothing that it acknowledged", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    for (let round = 1; round <= 5; round++) {
      const { child, acknowledged } = startWriter(path);
      let last = "";
      for (let lines = 0; lines < 40 * round; lines++) last = (await acknowledged.next()).value;
      child.kill("SIGKILL");
      // What it printed before the kill reached it counts too.
      for await (const line of acknowledged) last = line;
      const store = await openStore(path);
      const committed = await metaKeys(store);
      expect(await pragma(store, "integrity_check")).toBe("ok");
      await store.close();
      // One more may have been committed and not printed.
      expect([Number(last), Number(last) + 1]).toContain(committed.length);
    }
  });

  test("may read the database for a backup", async () => {
    const path = join(await temporaryFolder(), "manager.db");
    const store = await openStore(path);
    await putMeta(store, "a");
    const reader = new SqliteDatabase(path, { readonly: true });
    expect(reader.prepare("SELECT key FROM meta").all()).toEqual([{ key: "a" }]);
    reader.close();
    await store.close();
  });
});
