import type { JobRow } from "../../schema/tables.js";
import type { Tx } from "./open-store.js";

/** What people are told of a job. */
const outline = [
  "jobid",
  "kind",
  "subject",
  "eventid",
  "status",
  "description",
  "attempts",
  "last_error",
  "created_at",
] as const;
export type JobOutline = Pick<JobRow, (typeof outline)[number]>;

/** Jobs that have not ended, the newest first; those that run come before those that wait. */
export async function newestOpenJobs(tx: Tx, limit: number): Promise<JobOutline[]> {
  return tx
    .selectFrom("job")
    .select(outline)
    .where("finished_at", "is", null)
    .orderBy("status", "desc")
    .orderBy("created_at", "desc")
    .orderBy("jobid", "desc")
    .limit(limit)
    .execute();
}

/** Jobs that have ended; of them those that began last, the newest first. */
export async function newestFinishedJobs(tx: Tx, limit: number): Promise<JobOutline[]> {
  return tx
    .selectFrom("job")
    .select(outline)
    .where("finished_at", "is not", null)
    .orderBy("created_at", "desc")
    .orderBy("jobid", "desc")
    .limit(limit)
    .execute();
}
