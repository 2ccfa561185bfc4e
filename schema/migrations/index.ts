import type { Migration } from "kysely";
import * as initial from "./0001-initial.js";
import * as snapshots from "./0002-snapshots.js";
import * as shortMirrors from "./0003-short-mirrors.js";
import * as events from "./0004-events.js";
import * as commitNumbers from "./0005-commit-numbers.js";
import * as lostExtents from "./0006-lost-extents.js";

/** All migrations in order. Append-only: what has landed here once is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  "0001-initial": initial,
  "0002-snapshots": snapshots,
  "0003-short-mirrors": shortMirrors,
  "0004-events": events,
  "0005-commit-numbers": commitNumbers,
  "0006-lost-extents": lostExtents,
};
