import { sql } from "kysely";
import { Evacuation, MemberStatus, Priority } from "../../shared/states.js";
import type { Tx } from "./open-store.js";

const { SPARE, FAULTY } = MemberStatus;
const { UNDER_WAY } = Evacuation;

/**
 * Mirrors that may need healing: a member is out, or was declared failed, or is on a disk or server that is lost, silent or
 * being evacuated; or there are more than there should be; or one is missing. What was shut down is neither lost nor silent.
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
      OR storage_server.priority IN (${Priority.OFFLINE}, ${Priority.FAULTY}) OR storage_server.lost = 1
      OR disk.evacuating = ${UNDER_WAY} OR storage_server.evacuating = ${UNDER_WAY})
  UNION
  SELECT mirrorid FROM mirror WHERE surplus = 1
  UNION
  SELECT mirrorid FROM mirror WHERE short = 1`;

/** Their ids, in order. */
export async function mirrorsToHeal(tx: Tx): Promise<number[]> {
  const { rows } = await mirrorsToHealQuery.execute(tx);
  return rows.map(({ mirrorid }) => mirrorid).sort((a, b) => a - b);
}
