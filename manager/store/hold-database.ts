import SqliteDatabase from "better-sqlite3";
import { describeError } from "../../shared/errors.js";

/** Keeps a second manager away from a database file. */
export interface DatabaseHold {
  release(): void;
}

/**
 * Takes the exclusive hold of a database: an EXCLUSIVE transaction on the file `<path>.lock`, which is never written.
 * The kernel gives the lock up when the process ends, however it ends, so nothing has to be cleaned up after a crash.
 * A lock on a file beside the database, and not on the database itself, leaves it readable for backups and tools.
 *
 * @param path of the database, without symbolic links, so that all its names lead to the same lock.
 * @throws Error with a sentence for the operator if another process has it, or the file can't be made.
 */
export function holdDatabase(path: string): DatabaseHold {
  let lock: SqliteDatabase.Database | undefined;
  try {
    lock = new SqliteDatabase(`${path}.lock`, { timeout: 0 });
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock?.close();
    throw new Error(isBusy(error) ? inUse(path) : `can't lock ${path}.lock: ${describeError(error)}`, {
      cause: error,
    });
  }
  return { release: () => void lock.close() };
}

function inUse(path: string): string {
  return `the database ${path} is in use by another manager; stop that one, or give this one another [storage_manager] database`;
}

function isBusy(error: unknown): boolean {
  return error instanceof SqliteDatabase.SqliteError && error.code.startsWith("SQLITE_BUSY");
}
