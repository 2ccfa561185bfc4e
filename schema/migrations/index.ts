import type { Migration } from "kysely";
import * as initial from "./0001-initial.js";

/** All migrations in order. Append-only: what has landed here once is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  "0001-initial": initial,
};
