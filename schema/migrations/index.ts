import type { Migration } from "kysely";
import * as initial from "./0001-initial.js";
import * as snapshots from "./0002-snapshots.js";

/** All migrations in order. Append-only: what has landed here once is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  "0001-initial": initial,
  "0002-snapshots": snapshots,
};
