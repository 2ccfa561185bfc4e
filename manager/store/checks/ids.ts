import { sql } from "kysely";
import { MAX_EVENT_ID, MAX_ID } from "../../../shared/ids.js";
import type { Tx } from "../open-store.js";

/** No id is given out twice: sequences are above all ids, and volumes, mirrors and extents share theirs. */
export async function checkIds(tx: Tx): Promise<string[]> {
  return [...(await checkSequences(tx)), ...(await checkShared(tx))];
}

/** Ids of the sequence `lvol`. */
const sharedIds = sql`
  SELECT lvolid AS id FROM volume UNION ALL SELECT linearid FROM volume
  UNION ALL SELECT mirrorid FROM mirror UNION ALL SELECT dextid FROM extent`;

async function checkSequences(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ name: string; next: number | null; highest: number }>`
    SELECT used.name, sequence.next, used.highest FROM (
      SELECT 'hsvr' AS name, coalesce(max(hsvrid), 0) AS highest FROM head_server
      UNION ALL SELECT 'ssvr', coalesce(max(ssvrid), 0) FROM storage_server
      UNION ALL SELECT 'pdsk', coalesce(max(pdskid), 0) FROM disk
      UNION ALL SELECT 'lvol', coalesce(max(id), 0) FROM (${sharedIds}) AS shared
      UNION ALL SELECT 'event', 0
    ) AS used LEFT JOIN sequence ON sequence.name = used.name`.execute(tx);
  return rows.flatMap(({ name, next, highest }) => {
    if (next === null) return [`sequence ${name} is missing`];
    if (next <= highest) return [`sequence ${name} would give out ${next}, but ids up to ${highest} exist`];
    const last = name === "event" ? MAX_EVENT_ID : MAX_ID + 1;
    return next > last ? [`sequence ${name} is at ${next}, beyond its end`] : [];
  });
}

async function checkShared(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ id: number; count: number }>`
    SELECT id, count(*) AS count FROM (${sharedIds}) AS shared GROUP BY id HAVING count(*) > 1 ORDER BY id`.execute(
    tx,
  );
  return rows.map(
    ({ id, count }) =>
      `id ${id.toString(16).padStart(8, "0")} is used ${count} times among volumes, mirrors and extents`,
  );
}
