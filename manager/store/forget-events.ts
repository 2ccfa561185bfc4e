import type { Tx } from "./open-store.js";

/** What of the past is kept: the newest `keep` rows, as far as they are not from before a wall-clock time. */
export interface Retention {
  readonly before: number;
  readonly keep: number;
  /** So many rows, the oldest, go at once. */
  readonly batch: number;
}

function countToForget(total: number, past: number, { keep, batch }: Retention): number {
  return Math.max(0, Math.min(batch, Math.max(past, total - keep)));
}

/** Forgets the oldest events. @returns how many. */
export async function forgetEventRows(tx: Tx, retention: Retention): Promise<number> {
  const { before, batch } = retention;
  const { count: total } = await tx
    .selectFrom("event")
    .select((query) => query.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  const past = tx.selectFrom("event").select("seq").where("time", "<", before).limit(batch);
  const count = countToForget(total, (await past.execute()).length, retention);
  if (count === 0) return 0;
  const oldest = tx.selectFrom("event").select("seq").orderBy("time").orderBy("seq").limit(count);
  await tx.deleteFrom("event").where("seq", "in", oldest).execute();
  return count;
}

/** Forgets the jobs that ended first; those that have not ended are never forgotten. @returns how many. */
export async function forgetFinishedJobs(tx: Tx, retention: Retention): Promise<number> {
  const { before, batch } = retention;
  const finished = tx.selectFrom("job").where("finished_at", "is not", null);
  const { count: total } = await finished
    .select((query) => query.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  const past = finished.select("jobid").where("finished_at", "<", before).limit(batch);
  const count = countToForget(total, (await past.execute()).length, retention);
  if (count === 0) return 0;
  const oldest = finished.select("jobid").orderBy("finished_at").orderBy("jobid").limit(count);
  await tx.deleteFrom("job").where("jobid", "in", oldest).execute();
  return count;
}
