import { existsSync, mkdirSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { Kysely, type Transaction } from "kysely";
import { migrations } from "../../schema/migrations/index.js";
import type { Database } from "../../schema/tables.js";
import { describeError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";
import { explainFailure } from "./disk-full.js";
import { type DatabaseHold, holdDatabase } from "./hold-database.js";
import { migrate } from "./migrate.js";
import { lastCommitNumber, takeCommitNumber } from "./sequences.js";
import { SqliteDialect } from "./sqlite-dialect.js";

export type Tx = Transaction<Database>;

/** Where a transaction stands in the order of all commits, which are numbered from 1 for the life of the database. */
export interface CommitNote {
  readonly number: number;
  /** True if that is its own commit; false if it changed nothing, and this is the last one that it saw. */
  readonly isNew: boolean;
}

/** The manager's state. */
export interface Store {
  readonly db: Kysely<Database>;

  /**
   * Runs `work` alone: no other transaction or statement comes between its own. Commits when it resolves; when it
   * rejects, nothing has changed. What is committed survives a kill and a power cut. Inside, use `tx` only.
   *
   * @param note is told the last commit before it, and then, just before it commits, its own if it changed something.
   * @throws what `work` throws; VasError ENOSPC if the manager's disk is full.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, note?: (commit: CommitNote) => void): Promise<T>;

  /** Waits for the transactions that were begun, then closes the file and gives up the hold on it. */
  close(): Promise<void>;
}

/** Another program reading the file (a backup) may hold it that long. The process is blocked meanwhile. */
const BUSY_TIMEOUT: Milliseconds = 2_000;

/**
 * Opens the state store, creates it if it does not exist, and brings it to this program's schema.
 *
 * @param path of the database file; its folder is created.
 * @throws Error with a sentence for the operator: another manager has it, it is of a newer version, it can't be opened
 * or is no database, or its file system can't do what durability needs.
 */
export async function openStore(path: string, log?: Log): Promise<Store> {
  const file = settle(path);
  const hold = holdDatabase(file);
  let db: Kysely<Database> | undefined;
  try {
    const sqlite = openDurably(file);
    db = new Kysely<Database>({ dialect: new SqliteDialect(sqlite) });
    await migrate(db, migrations, file, log);
    const changes = sqlite.prepare("SELECT total_changes()").pluck();
    return new SqliteStore(db, hold, file, () => changes.get() as number);
  } catch (error) {
    await db?.destroy();
    hold.release();
    throw error;
  }
}

class SqliteStore implements Store {
  #closing: Promise<void> | undefined;

  constructor(
    readonly db: Kysely<Database>,
    readonly hold: DatabaseHold,
    readonly path: string,
    /** Rows that this connection has changed since it was opened, those of rolled back transactions too. */
    private readonly countChanges: () => number,
  ) {}

  async transaction<T>(work: (tx: Tx) => Promise<T>, note?: (commit: CommitNote) => void): Promise<T> {
    try {
      return await this.db.transaction().execute(async (tx) => {
        const before = this.countChanges();
        if (note !== undefined) note({ number: await lastCommitNumber(tx), isNew: false });
        const result = await work(tx);
        if (this.countChanges() !== before) {
          const number = await takeCommitNumber(tx);
          note?.({ number, isNew: true });
        }
        return result;
      });
    } catch (error) {
      throw explainFailure(error, this.path);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.db.destroy().finally(() => this.hold.release());
    return this.#closing;
  }
}

/** Creates the folder, and resolves symbolic links. */
function settle(path: string): string {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path));
  } catch (error) {
    throw new Error(`can't create the folder of the database ${path}: ${describeError(error)}`, {
      cause: error,
    });
  }
}

function openDurably(path: string): SqliteDatabase.Database {
  let db: SqliteDatabase.Database | undefined;
  try {
    db = new SqliteDatabase(path, { timeout: BUSY_TIMEOUT });
    setPragma(db, "journal_mode", "WAL", "wal");
    // A write-ahead log is flushed at each commit only with FULL; SQLite's own default may have been built as NORMAL.
    setPragma(db, "synchronous", "FULL", 2);
    setPragma(db, "foreign_keys", "ON", 1);
    return db;
  } catch (error) {
    db?.close();
    throw new Error(`can't open the database ${path}: ${describeError(error)}`, { cause: error });
  }
}

/** SQLite ignores a setting that it can't fulfil, so each is read back. */
function setPragma(
  db: SqliteDatabase.Database,
  name: string,
  value: string,
  expected: string | number,
): void {
  db.pragma(`${name} = ${value}`);
  const found = db.pragma(name, { simple: true });
  if (found !== expected)
    throw new Error(`SQLite refuses ${name} = ${value} here, it stays ${String(found)}`);
}
