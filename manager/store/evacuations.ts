import { type RawBuilder, sql } from "kysely";
import { Evacuation, MemberStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";

/** Disks and storage servers that are being evacuated, with what is still on them. */
export interface EvacuatedDisk {
  readonly pdskid: number;
  readonly evacuating: Evacuation;
  /** Extents that belong to mirrors, those of them that belong to lost snapshots, and GB that wait for their shred. */
  readonly extents: number;
  readonly lost: number;
  readonly unshredded: number;
}
export interface EvacuatedServer extends Omit<EvacuatedDisk, "pdskid"> {
  readonly ssvrid: number;
}

/** Counted by the index of the disks' extents. */
const remainder = (disks: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  (SELECT count(mirrorid) FROM extent WHERE pdskid IN ${disks}) AS extents,
  (SELECT count(*) FROM extent JOIN mirror USING (mirrorid) JOIN volume USING (lvolid)
    WHERE pdskid IN ${disks} AND snapshot_lost = 1) AS lost,
  (SELECT coalesce(sum(length), 0) FROM extent WHERE pdskid IN ${disks} AND status = ${sql.lit(MemberStatus.NEEDSHRED)})
    AS unshredded`;

/** By id. */
export async function evacuatedDisks(tx: Tx): Promise<EvacuatedDisk[]> {
  const { rows } = await sql<EvacuatedDisk>`
    SELECT pdskid, evacuating, ${remainder(sql`(disk.pdskid)`)}
    FROM disk WHERE evacuating <> ${Evacuation.NONE} ORDER BY pdskid`.execute(tx);
  return rows;
}

/** By id. */
export async function evacuatedServers(tx: Tx): Promise<EvacuatedServer[]> {
  const disks = sql`(SELECT pdskid FROM disk WHERE disk.ssvrid = storage_server.ssvrid)`;
  const { rows } = await sql<EvacuatedServer>`
    SELECT ssvrid, evacuating, ${remainder(disks)}
    FROM storage_server WHERE evacuating <> ${Evacuation.NONE} ORDER BY ssvrid`.execute(tx);
  return rows;
}
