import { sql } from "kysely";
import { showDisk, showExtent } from "../../../shared/ids.js";
import type { Tx } from "../open-store.js";

/** Every gigabyte of every disk belongs to exactly one extent or free range, and free ranges are merged. */
export async function checkSpace(tx: Tx): Promise<string[]> {
  return [
    ...(await checkPieces(tx)),
    ...(await checkEnds(tx)),
    ...(await checkGenerations(tx)),
    ...(await checkBadBlocks(tx)),
  ];
}

/** Extents and free ranges of all disks, as pieces. */
const pieces = sql`
  SELECT pdskid, "offset", "offset" + length AS "end", 1 AS free FROM free_range
  UNION ALL SELECT pdskid, "offset", "offset" + length AS "end", 0 AS free FROM extent`;

interface PieceRow {
  pdskid: number;
  offset: number;
  /** Where the space before it ends: the furthest end of any piece that starts earlier. */
  reached: number;
  free: 0 | 1;
}

/** Each piece starts where the ones before it end. */
async function checkPieces(tx: Tx): Promise<string[]> {
  const { rows } = await sql<PieceRow>`
    SELECT pdskid, "offset", reached, free FROM (
      SELECT pdskid, "offset", free,
        coalesce(max("end") OVER (before ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS reached,
        coalesce(lag(free) OVER before, 0) AS free_before
      FROM (${pieces}) AS piece
      WINDOW before AS (PARTITION BY pdskid ORDER BY "offset", "end")
    ) AS ordered
    WHERE "offset" <> reached OR (free = 1 AND free_before = 1)
    ORDER BY pdskid, "offset"`.execute(tx);
  return rows.map(({ pdskid, offset, reached }) => {
    const disk = showDisk(pdskid);
    if (offset > reached) return `${disk}: ${reached}..${offset} GB is neither free nor part of an extent`;
    if (offset < reached) return `${disk}: the space from ${offset} to ${reached} GB is given out twice`;
    return `${disk}: the free ranges that meet at ${offset} GB are not merged`;
  });
}

/** The last piece ends where the disk does. */
async function checkEnds(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ pdskid: number; capacity: number; end: number }>`
    SELECT disk.pdskid, disk.capacity, coalesce(used."end", 0) AS "end"
    FROM disk LEFT JOIN (SELECT pdskid, max("end") AS "end" FROM (${pieces}) AS piece GROUP BY pdskid) AS used
      ON used.pdskid = disk.pdskid
    WHERE coalesce(used."end", 0) <> disk.capacity
    ORDER BY disk.pdskid`.execute(tx);
  return rows.map(({ pdskid, capacity, end }) =>
    end < capacity
      ? `${showDisk(pdskid)}: ${end}..${capacity} GB is neither free nor part of an extent`
      : `${showDisk(pdskid)}: space up to ${end} GB is given out, but the disk ends at ${capacity} GB`,
  );
}

/** The disk's generation is the highest one given out (R4). */
async function checkGenerations(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("extent")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .whereRef("extent.generation", ">", "disk.generation")
    .select(["extent.dextid", "extent.generation", "disk.pdskid", "disk.generation as highest"])
    .orderBy("extent.dextid")
    .execute();
  return rows.map(
    (row) =>
      `${showExtent(row.dextid)} has generation ${row.generation}, but ${showDisk(row.pdskid)} has given out ${row.highest} at most`,
  );
}

/** Each disk knows how many bad blocks it has, and all of them are on it. */
async function checkBadBlocks(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ pdskid: number; counted: number; known: number; beyond: number }>`
    SELECT disk.pdskid, disk.bad_blocks AS counted, count(bad_block.block) AS known,
      count(CASE WHEN bad_block.block >= disk.capacity THEN 1 END) AS beyond
    FROM disk LEFT JOIN bad_block ON bad_block.pdskid = disk.pdskid
    GROUP BY disk.pdskid HAVING counted <> known OR beyond > 0 ORDER BY disk.pdskid`.execute(tx);
  return rows.map(({ pdskid, counted, known, beyond }) =>
    beyond > 0
      ? `${showDisk(pdskid)} has ${beyond} bad blocks beyond its end`
      : `${showDisk(pdskid)} is said to have ${counted} bad blocks, but ${known} are known`,
  );
}
