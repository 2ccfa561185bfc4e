import SqliteDatabase from "better-sqlite3";
import { VasError } from "../../shared/errors.js";

/** SQLITE_IOERR_SHMSIZE: the index of the write-ahead log could not grow, for the same reason. */
const FULL = new Set(["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"]);

function isDiskFull(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof SqliteDatabase.SqliteError && FULL.has(at.code)) return true;
  }
  return false;
}

/** What a failed transaction throws: ENOSPC if the manager's own disk is full, else the error as it is. */
export function explainFailure(error: unknown, path: string): unknown {
  if (!isDiskFull(error)) return error;
  return new VasError("ENOSPC", `the manager's disk is full: nothing was changed; make room for ${path}`, {
    cause: error,
  });
}
