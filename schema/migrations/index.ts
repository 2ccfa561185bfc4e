import type { Migration } from "kysely";
import * as initial from "./0001-initial.js";
import * as snapshots from "./0002-snapshots.js";
import * as shortMirrors from "./0003-short-mirrors.js";
import * as events from "./0004-events.js";
import * as commitNumbers from "./0005-commit-numbers.js";
import * as lostExtents from "./0006-lost-extents.js";
import * as maintenance from "./0007-maintenance.js";
import * as evacuation from "./0008-evacuation.js";
import * as unrevokedEpochs from "./0009-unrevoked-epochs.js";
import * as comparisons from "./0010-comparisons.js";
import * as iscsiNames from "./0011-iscsi-names.js";

/** All migrations in order. Append-only: what has landed here once is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  "0001-initial": initial,
  "0002-snapshots": snapshots,
  "0003-short-mirrors": shortMirrors,
  "0004-events": events,
  "0005-commit-numbers": commitNumbers,
  "0006-lost-extents": lostExtents,
  "0007-maintenance": maintenance,
  "0008-evacuation": evacuation,
  "0009-unrevoked-epochs": unrevokedEpochs,
  "0010-comparisons": comparisons,
  "0011-iscsi-names": iscsiNames,
};
