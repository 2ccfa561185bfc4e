import { sql } from "kysely";
import type { DifferenceRow } from "../../schema/tables.js";
import { BindEvent, BindStatus, MemberStatus, Priority, SnapshotStatus } from "../../shared/states.js";
import type { Gigabytes } from "../../shared/units.js";
import type { Tx } from "./open-store.js";

export type { DifferenceRow };

const { HIGH, LOW, EVACUATE } = Priority;

/** Differences that are read at once: beyond this, a person needs no more of them. */
const MOST = 1000;

/** What can be compared: copies in sync that can be asked, of which nobody declared anything. */
const comparableCopies = sql<number>`(
  SELECT count(*) FROM extent JOIN disk ON disk.pdskid = extent.pdskid
    JOIN storage_server ON storage_server.ssvrid = disk.ssvrid
  WHERE extent.mirrorid = mirror.mirrorid AND extent.status = ${MemberStatus.INSYNC} AND extent.lost = 0
    AND disk.priority IN (${HIGH}, ${LOW}, ${EVACUATE}) AND storage_server.lost = 0)`;

/** How far the comparison of a mirror is: GB that are done; 0 if none is under way. */
export interface ComparisonPlace {
  readonly mirrorid: number;
  readonly position: Gigabytes;
}

/** Which comparisons fall due: of mirrors not compared (or made) since `since`. */
export interface DueTime {
  readonly since: number;
  /** A time to come is one of a clock that was set back. */
  readonly now: number;
}

const position = sql<number>`coalesce(comparison.position, 0)`;
const comparedAt = sql<number>`coalesce(comparison.compared_at, volume.ctime)`;

/** The first of the mirrors that are due and have two copies that can be compared; one that was begun comes before others. */
function dueMirrors(tx: Tx, { since, now }: DueTime) {
  return tx
    .selectFrom("mirror")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .innerJoin("volume as attached", (join) =>
      join.on(sql<boolean>`attached.lvolid = coalesce(volume.origin_lvolid, volume.lvolid)`),
    )
    .leftJoin("comparison", "comparison.mirrorid", "mirror.mirrorid")
    .where((of) =>
      of.or([
        of("volume.origin_lvolid", "is", null),
        of.and([of("volume.snapshot_status", "=", SnapshotStatus.READY), of("volume.snapshot_lost", "=", 0)]),
      ]),
    )
    .where(sql<boolean>`(${position} > 0 OR ${comparedAt} <= ${since} OR ${comparedAt} > ${now})`)
    .where(comparableCopies, ">=", 2)
    .orderBy(sql`${position} = 0`)
    .orderBy(comparedAt)
    .orderBy("mirror.mirrorid")
    .limit(1);
}

/** The mirror whose copies are to be compared next: of a volume that a head has, or of a snapshot of one. */
export async function mirrorToCompare(
  tx: Tx,
  { except, ...due }: DueTime & { readonly except: readonly number[] },
): Promise<ComparisonPlace | undefined> {
  return dueMirrors(tx, due)
    .select(["mirror.mirrorid", position.as("position")])
    .where("attached.bind_status", "=", BindStatus.BOUND)
    .where("attached.bind_event", "=", BindEvent.NONE)
    .$if(except.length > 0, (query) => query.where("mirror.mirrorid", "not in", except))
    .executeTakeFirst();
}

/** Volumes that no user has attached, of which a mirror is due; those that a head has already come first. */
export async function volumesToCompare(tx: Tx, due: DueTime, limit: number): Promise<number[]> {
  const rows = await dueMirrors(tx, due)
    .select("attached.lvolid")
    .where((of) => of.or([of("attached.hsvrid", "is", null), of("attached.maintenance", "=", 1)]))
    .clearOrderBy()
    .clearLimit()
    .groupBy("attached.lvolid")
    .orderBy((of) => of.fn.max("attached.maintenance"), "desc")
    .orderBy(sql`min(${comparedAt})`)
    .orderBy("attached.lvolid")
    .limit(limit)
    .execute();
  return rows.map(({ lvolid }) => lvolid);
}

/** @param now when its last GB was compared; undefined if it is not yet */
export async function putComparison(
  tx: Tx,
  { mirrorid, position }: ComparisonPlace,
  now: number | undefined,
): Promise<void> {
  const isDone = now !== undefined;
  await tx
    .insertInto("comparison")
    .values({ mirrorid, position, compared_at: now ?? 0 })
    .onConflict((conflict) =>
      conflict.column("mirrorid").doUpdateSet({ position, ...(isDone && { compared_at: now }) }),
    )
    .execute();
}

/** What is known of one GB of a mirror. @returns what was known before */
export async function putDifference(
  tx: Tx,
  { mirrorid, gigabyte }: Pick<DifferenceRow, "mirrorid" | "gigabyte">,
  found: DifferenceRow | undefined,
): Promise<DifferenceRow | undefined> {
  const before = await tx
    .deleteFrom("difference")
    .where("mirrorid", "=", mirrorid)
    .where("gigabyte", "=", gigabyte)
    .returningAll()
    .executeTakeFirst();
  if (found !== undefined) await tx.insertInto("difference").values(found).execute();
  return before;
}

export async function allDifferences(tx: Tx): Promise<DifferenceRow[]> {
  return tx
    .selectFrom("difference")
    .selectAll()
    .orderBy("mirrorid")
    .orderBy("gigabyte")
    .limit(MOST)
    .execute();
}
