import type { JobRow } from "../../schema/tables.js";
import { JobStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";

/** Jobs as people see and steer them. */

/** Jobs that have not ended, the oldest first, or those that have, the newest first. */
export async function jobsToShow(tx: Tx, hasEnded: boolean, limit: number): Promise<JobRow[]> {
  return tx
    .selectFrom("job")
    .selectAll()
    .where("finished_at", hasEnded ? "is not" : "is", null)
    .orderBy("jobid", hasEnded ? "desc" : "asc")
    .limit(limit)
    .execute();
}

/** Changes a job that has not ended, whoever runs it: its handler finds out that it does not hold it any more. */
export async function updateOpenJob(
  tx: Tx,
  jobid: number,
  change: Partial<Omit<JobRow, "jobid" | "kind" | "subject">>,
): Promise<void> {
  await tx
    .updateTable("job")
    .set(change)
    .where("jobid", "=", jobid)
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .execute();
}

/** The phase of a resync that a person cancelled, as long as that is to hold. */
export const HELD = "held";

/** Those of some members of which a person cancelled the resync, since some time (wall-clock milliseconds). */
export async function heldResyncs(
  tx: Tx,
  dextids: readonly number[],
  since: number,
): Promise<ReadonlySet<number>> {
  if (dextids.length === 0) return new Set();
  const rows = await tx
    .selectFrom("job")
    .select("subject")
    .where("status", "=", JobStatus.CANCELED)
    .where("kind", "=", "resync")
    .where("subject", "in", dextids)
    .where("phase", "=", HELD)
    .where("finished_at", ">", since)
    .execute();
  return new Set(rows.map(({ subject }) => subject));
}

/** What a person cancelled may begin again. */
export async function endHold(tx: Tx, jobid: number): Promise<void> {
  await tx
    .updateTable("job")
    .set({ phase: "released" })
    .where("jobid", "=", jobid)
    .where("phase", "=", HELD)
    .execute();
}
