import SqliteDatabase from "better-sqlite3";
import type { SequenceName } from "../../manager/store/sequences.js";
import type { TestCluster } from "./cluster.js";
import { waitUntil } from "./wait-until.js";

/** The manager's database, behind its back: for states that would take years, or faults of others, to come about. */
function pathOf(cluster: TestCluster): string {
  return String(cluster.manager.plan.conf.storage_manager?.database);
}

/** Stops the manager, runs an edit on its database, and starts it again. */
export async function editDatabase(
  cluster: TestCluster,
  edit: (database: SqliteDatabase.Database) => void,
): Promise<void> {
  await cluster.manager.stop(30_000);
  const database = new SqliteDatabase(pathOf(cluster));
  try {
    edit(database);
  } finally {
    database.close();
  }
  cluster.manager.up();
  await waitUntil("the manager answers", () => cluster.status());
}

/** What each sequence gives out next. */
export type NextIds = Readonly<Partial<Record<SequenceName, number>>>;

export function setNextIds(cluster: TestCluster, next: NextIds): Promise<void> {
  return editDatabase(cluster, (database) => {
    const update = database.prepare("UPDATE sequence SET next = ? WHERE name = ?");
    for (const [name, value] of Object.entries(next)) update.run(value, name);
  });
}

/** As of the last commit; the manager may run. */
export function readNextIds(cluster: TestCluster): NextIds {
  const database = new SqliteDatabase(pathOf(cluster), { readonly: true });
  try {
    const rows = database
      .prepare("SELECT name, next FROM sequence WHERE name IN ('hsvr', 'ssvr', 'pdsk', 'lvol')")
      .all() as { readonly name: SequenceName; readonly next: number }[];
    return Object.fromEntries(rows.map(({ name, next }) => [name, next]));
  } finally {
    database.close();
  }
}

/** When the copies of mirrors were compared last, as of the last commit; the manager may run. */
export function readComparisonTimes(cluster: TestCluster): number[] {
  const database = new SqliteDatabase(pathOf(cluster), { readonly: true });
  try {
    return database.prepare("SELECT compared_at FROM comparison").pluck().all() as number[];
  } finally {
    database.close();
  }
}
