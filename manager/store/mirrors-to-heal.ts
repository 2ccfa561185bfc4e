import { sql } from "kysely";
import { MemberStatus, Priority } from "../../shared/states.js";
import type { Tx } from "./open-store.js";

const { ALLOCATED, SPARE, FAULTY } = MemberStatus;

/**
 * Mirrors that may need healing: a member is out, or was declared failed, or is on a disk or server that is lost or silent;
 * or one is missing and can be placed, because the mirror has a head to fill it, or was never written to. What was shut down
 * is neither lost nor silent.
 *
 * Each part uses an index, and what a partial one is about is literal, since the planner takes it for no parameter:
 * this is asked at each event, and must not look at every extent.
 */
export const mirrorsToHealQuery = sql<{ readonly mirrorid: number }>`
  SELECT mirrorid FROM extent WHERE status IN (${sql.lit(SPARE)}, ${sql.lit(FAULTY)}) AND mirrorid IS NOT NULL
  UNION
  SELECT mirrorid FROM extent WHERE lost = 1 AND mirrorid IS NOT NULL
  UNION
  SELECT mirrorid FROM extent WHERE mirrorid IS NOT NULL AND pdskid IN (
    SELECT pdskid FROM disk JOIN storage_server ON storage_server.ssvrid = disk.ssvrid
    WHERE disk.priority IN (${Priority.OFFLINE}, ${Priority.FAULTY})
      OR storage_server.priority IN (${Priority.OFFLINE}, ${Priority.FAULTY}) OR storage_server.lost = 1)
  UNION
  SELECT mirrorid FROM mirror JOIN volume ON volume.lvolid = mirror.lvolid
    LEFT JOIN volume AS origin ON origin.lvolid = volume.origin_lvolid
  WHERE short = 1 AND (coalesce(origin.hsvrid, volume.hsvrid) IS NOT NULL OR NOT EXISTS (
    SELECT 1 FROM extent WHERE extent.mirrorid = mirror.mirrorid AND extent.status <> ${ALLOCATED}))`;

/** Their ids, in order. */
export async function mirrorsToHeal(tx: Tx): Promise<number[]> {
  const { rows } = await mirrorsToHealQuery.execute(tx);
  return rows.map(({ mirrorid }) => mirrorid).sort((a, b) => a - b);
}
