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

/** Volume 1 is attached, 2 is detached and has the snapshot 3 on a server of its own, 4 was never attached. */
const before = `
  INSERT INTO storage_server (ssvrid, priority, port) VALUES (1, 1, 8883), (2, 1, 8883);
  INSERT INTO head_server (hsvrid, priority, port) VALUES (1, 1, 8882);
  INSERT INTO disk (pdskid, ssvrid, local_path, sectors, capacity, priority, nbd_port)
    VALUES (1, 1, '/d', 1, 100, 1, 10809), (2, 2, '/d', 1, 100, 1, 10809);
  INSERT INTO volume (lvolid, lvolname, linearid, redundancy, capacity, ctime, bind_status, bind_event, hsvrid, epoch, epoch_open, origin_lvolid, snapshot_status)
    VALUES (1, 'a', 11, 2, 1, 0, 1, 0, 1, 5, 1, NULL, 0), (2, 'b', 12, 2, 1, 0, 0, 0, NULL, 6, 0, NULL, 0),
           (3, 'c', 13, 2, 1, 0, 0, 0, NULL, 0, 0, 2, 2), (4, 'd', 14, 2, 1, 0, 0, 0, NULL, 0, 0, NULL, 0);
  INSERT INTO mirror (mirrorid, lvolid, "offset", length) VALUES (21, 1, 0, 1), (22, 2, 0, 1), (23, 3, 0, 1), (24, 4, 0, 1);
  INSERT INTO extent (dextid, pdskid, "offset", length, generation, mirrorid, status)
    VALUES (31, 1, 0, 1, 1, 21, 2), (32, 1, 1, 1, 1, 22, 2), (33, 2, 2, 1, 1, 23, 2), (34, 2, 3, 1, 1, 24, 1);`;

test("servers that may not have revoked an epoch before that was noted are asked to", async () => {
  const path = join(await temporaryFolder(), "manager.db");
  const file = new SqliteDatabase(path);
  const old = new Kysely<Database>({ dialect: new SqliteDialect(file) });
  const known = Object.entries(migrations).filter(([name]) => name < "0007");
  await migrate(old, Object.fromEntries(known), path);
  file.exec(before);
  await old.destroy();

  const store = await openStore(path);
  expect(await store.db.selectFrom("unrevoked").selectAll().orderBy("ssvrid").execute()).toEqual([
    { ssvrid: 1, lvolid: 2, epoch: 6 },
    { ssvrid: 2, lvolid: 2, epoch: 6 },
  ]);
  await store.close();
});
