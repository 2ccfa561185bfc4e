import { sql } from "kysely";
import { updateDisk } from "./disks.js";
import type { Tx } from "./open-store.js";

/** Rows of one INSERT: 2 columns each, far below SQLite's 32,766 parameters. */
const INSERT_ROWS = 1_000;

/** Remembers bad blocks of a disk, and how many it has. @returns those that were not known, in order. */
export async function insertBadBlocks(tx: Tx, pdskid: number, blocks: readonly number[]): Promise<number[]> {
  const added: number[] = [];
  for (let at = 0; at < blocks.length; at += INSERT_ROWS) {
    const rows = await tx
      .insertInto("bad_block")
      .values(blocks.slice(at, at + INSERT_ROWS).map((block) => ({ pdskid, block })))
      .onConflict((conflict) => conflict.doNothing())
      .returning("block")
      .execute();
    added.push(...rows.map(({ block }) => block));
  }
  const { count } = await tx
    .selectFrom("bad_block")
    .select(sql<number>`count(*)`.as("count"))
    .where("pdskid", "=", pdskid)
    .executeTakeFirstOrThrow();
  await updateDisk(tx, pdskid, { bad_blocks: count });
  return added.sort((a, b) => a - b);
}

/** Ids of the members on a disk that have a bad block and that nobody declared failed yet. */
export async function membersOnBadBlocks(tx: Tx, pdskid: number): Promise<number[]> {
  const rows = await tx
    .selectFrom("extent")
    .select("dextid")
    .where("extent.pdskid", "=", pdskid)
    .where("extent.mirrorid", "is not", null)
    .where("extent.lost", "=", 0)
    .where((of) =>
      of.exists(
        of
          .selectFrom("bad_block")
          .select("block")
          .whereRef("bad_block.pdskid", "=", "extent.pdskid")
          .whereRef("block", ">=", "extent.offset")
          .where(sql<boolean>`block < extent.offset + extent.length`),
      ),
    )
    .orderBy("extent.dextid")
    .execute();
  return rows.map(({ dextid }) => dextid);
}
