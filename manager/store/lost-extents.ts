import { type RawBuilder, sql } from "kysely";
import { MemberStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";
import { soundCopies } from "./sound-copies.js";

const { INSYNC, FAULTY } = MemberStatus;

/** One parameter for any number of ids: SQLite takes 32,766 of them. */
const listed = (ids: readonly number[]): RawBuilder<unknown> =>
  sql`(SELECT value FROM json_each(${JSON.stringify(ids)}))`;

/** A person or monitor declared members failed. @returns those of which it was not known. */
export async function markLost(tx: Tx, dextids: readonly number[]): Promise<number[]> {
  const rows = await tx
    .updateTable("extent")
    .set({ lost: 1 })
    .where("dextid", "in", listed(dextids) as never)
    .where("lost", "=", 0)
    .where("mirrorid", "is not", null)
    .returning("dextid")
    .execute();
  return rows.map(({ dextid }) => dextid);
}

/**
 * INSYNC members that were declared failed become FAULTY where their volume, or their snapshot's origin, is detached and a
 * sound copy stays (D3). The versions of their mirrors rise.
 */
export async function dropDetached(tx: Tx, dextids: readonly number[]): Promise<void> {
  const rows = await tx
    .selectFrom("extent")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .leftJoin("volume as origin", "origin.lvolid", "volume.origin_lvolid")
    .select(["extent.dextid", "mirror.mirrorid"])
    .where("extent.dextid", "in", listed(dextids) as never)
    .where("extent.status", "=", INSYNC)
    .where("extent.lost", "=", 1)
    .where((of) => of(of.fn.coalesce("origin.hsvrid", "volume.hsvrid"), "is", null))
    .where(soundCopies(sql`other.dextid = extent.dextid`), ">", 0)
    .execute();
  if (rows.length === 0) return;
  await tx
    .updateTable("extent")
    .set({ status: FAULTY, failures: 0 })
    .where("dextid", "in", listed(rows.map(({ dextid }) => dextid)) as never)
    .execute();
  await tx
    .updateTable("mirror")
    .set({ version: sql<number>`version + 1` })
    .where("mirrorid", "in", listed(rows.map(({ mirrorid }) => mirrorid)) as never)
    .execute();
}
