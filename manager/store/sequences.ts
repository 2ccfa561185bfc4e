import { sql } from "kysely";
import { VasError } from "../../shared/errors.js";
import { MAX_EVENT_ID, MAX_ID } from "../../shared/ids.js";
import type { Tx } from "./open-store.js";

/** The sequences of resource ids; `lvol` serves volumes, mirrors and extents. */
export type SequenceName = "hsvr" | "ssvr" | "pdsk" | "lvol";

/**
 * Takes consecutive ids that were never given out before, in rising order. They are given back only if the transaction
 * is rolled back.
 *
 * @throws VasError ENOSPC if fewer than `count` are left; none is taken then.
 */
export async function takeIds(tx: Tx, name: SequenceName, count: number): Promise<number[]> {
  const row = await tx
    .updateTable("sequence")
    .set({ next: sql<number>`next + ${count}` })
    .where("name", "=", name)
    .where("next", "<=", MAX_ID - count + 1)
    .returning("next")
    .executeTakeFirst();
  if (row === undefined) throw new VasError("ENOSPC", "no usable id is left");
  const first = row.next - count;
  return Array.from({ length: count }, (_, index) => first + index);
}

/** Takes the next event id: 1 to `MAX_EVENT_ID`, and then from 1 again. */
export async function takeEventId(tx: Tx): Promise<number> {
  const row = await tx
    .updateTable("sequence")
    .set({ next: sql<number>`CASE WHEN next >= ${MAX_EVENT_ID} THEN 1 ELSE next + 1 END` })
    .where("name", "=", "event")
    .returning("next")
    .executeTakeFirstOrThrow();
  return row.next === 1 ? MAX_EVENT_ID : row.next - 1;
}

/** Numbers the attaches of the cluster. */
export const takeBindNumber = (tx: Tx): Promise<number> => takeNumber(tx, "bind");

/** The number of the newest attach; 0 if there was none. */
export const lastBindNumber = (tx: Tx): Promise<number> => lastNumber(tx, "bind");

/** Numbers the commits of the database. */
export const takeCommitNumber = (tx: Tx): Promise<number> => takeNumber(tx, "commit");

/** The number of the newest commit; 0 if there was none. */
export const lastCommitNumber = (tx: Tx): Promise<number> => lastNumber(tx, "commit");

async function takeNumber(tx: Tx, name: "bind" | "commit"): Promise<number> {
  const { next } = await tx
    .updateTable("sequence")
    .set({ next: sql<number>`next + 1` })
    .where("name", "=", name)
    .returning("next")
    .executeTakeFirstOrThrow();
  return next - 1;
}

async function lastNumber(tx: Tx, name: "bind" | "commit"): Promise<number> {
  const { next } = await tx
    .selectFrom("sequence")
    .select("next")
    .where("name", "=", name)
    .executeTakeFirstOrThrow();
  return next - 1;
}
