import { sql } from "kysely";
import { MemberStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";
import { soundCopies } from "./sound-copies.js";

const { ALLOCATED, INSYNC, SPARE } = MemberStatus;

/** A good copy on disks that are to go, and what depends on it. */
export interface GoodCopy {
  readonly lvolid: number;
  readonly lvolname: string;
  /** The head server of the attachment that the volume belongs to; null if it is detached. */
  readonly hsvrid: number | null;
  /** The volume that is attached; that it is so for maintenance. */
  readonly attachment: number;
  readonly maintenance: 0 | 1;
  /** Good copies of the same mirror that stay, on disks and servers that nobody declared failed. */
  readonly others: number;
}

/** The members on some disks that hold content, or, as long as their volume was never attached, stand for it. */
export async function goodCopiesOn(tx: Tx, pdskids: readonly number[]): Promise<GoodCopy[]> {
  const others = soundCopies(sql`other.pdskid IN (${sql.join(pdskids)})`);
  return tx
    .selectFrom("extent")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .leftJoin("volume as origin", "origin.lvolid", "volume.origin_lvolid")
    .select(["volume.lvolid", "volume.lvolname", others.as("others")])
    .select((of) => of.fn.coalesce("origin.hsvrid", "volume.hsvrid").as("hsvrid"))
    .select((of) => of.fn.coalesce("origin.maintenance", "volume.maintenance").as("maintenance"))
    .select((of) => of.fn.coalesce("origin.lvolid", "volume.lvolid").as("attachment"))
    .where("extent.pdskid", "in", pdskids)
    .where("extent.status", "in", [ALLOCATED, INSYNC])
    .orderBy("volume.lvolid")
    .execute();
}

/**
 * Takes all members on some disks out of their mirrors. Their versions and grants rise, and a mirror that is left with fewer
 * live members than it should have is marked, since none of its rows needs to tell so.
 */
export async function takeMembersOut(tx: Tx, pdskids: readonly number[]): Promise<void> {
  const mirrors = tx
    .selectFrom("extent")
    .select("mirrorid")
    .where("pdskid", "in", pdskids)
    .where("mirrorid", "is not", null)
    .$narrowType<{ mirrorid: number }>();
  const attachments = tx
    .selectFrom("mirror")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .select((of) => of.fn.coalesce("volume.origin_lvolid", "volume.lvolid").as("lvolid"))
    .where("mirror.mirrorid", "in", mirrors);
  await tx
    .updateTable("volume")
    .set({ grant_version: sql<number>`grant_version + 1` })
    .where("lvolid", "in", attachments)
    .execute();
  const live = sql<number>`(
    SELECT count(*) FROM extent WHERE extent.mirrorid = mirror.mirrorid
      AND extent.pdskid NOT IN (${sql.join(pdskids)}) AND extent.status IN (${ALLOCATED}, ${INSYNC}, ${SPARE}))`;
  const wanted = sql<number>`(SELECT redundancy FROM volume WHERE volume.lvolid = mirror.lvolid)`;
  await tx
    .updateTable("mirror")
    .set({
      version: sql<number>`version + 1`,
      short: sql<0 | 1>`CASE WHEN ${live} < ${wanted} THEN 1 ELSE short END`,
    })
    .where("mirrorid", "in", mirrors)
    .execute();
  await tx.deleteFrom("extent").where("pdskid", "in", pdskids).where("mirrorid", "is not", null).execute();
}

/** Deletes disks that hold no member any more, with all that is known of their space. */
export async function deleteDisks(tx: Tx, pdskids: readonly number[]): Promise<void> {
  for (const table of ["extent", "free_range", "bad_block", "disk"] as const)
    await tx.deleteFrom(table).where("pdskid", "in", pdskids).execute();
}
