import { type ErrorName, errorRegistry, type VasError } from "../../shared/errors.js";
import { JobStatus } from "../../shared/states.js";
import { findJob, type JobRow, updateHeldJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { takeEventId } from "../store/sequences.js";
import type { OperationContext } from "./operation.js";

/** The job was taken from its handler: cancelled because what it was for is gone. The handler ends quietly. */
export class JobGone extends Error {
  override readonly name = "JobGone";
}

/** Part of every finishing operation: only the holder of a running job may go on. @throws JobGone */
export async function assertHeld(tx: Tx, jobid: number, context: OperationContext): Promise<JobRow> {
  const job = await findJob(tx, jobid);
  if (job?.status !== JobStatus.RUNNING || job.holder !== context.serial)
    throw new JobGone(`job ${jobid} is not ours any more`);
  return job;
}

export interface JobEnd {
  readonly status: typeof JobStatus.DONE | typeof JobStatus.FAILED | typeof JobStatus.CANCELED;
  readonly error?: Pick<VasError, "errno" | "sentence"> | undefined;
}

/** Ends a job that this manager runs. @throws JobGone */
export async function endJob(tx: Tx, jobid: number, end: JobEnd, context: OperationContext): Promise<void> {
  const held = await updateHeldJob(tx, jobid, context.serial, {
    status: end.status,
    holder: null,
    finished_at: context.now,
    result: end.error?.errno ?? "",
    ...(end.error === undefined ? {} : { last_error: end.error.sentence }),
  });
  if (!held) throw new JobGone(`job ${jobid} is not ours any more`);
}

/** What changes in a job that goes on to take back what it did. */
export async function undoing(
  tx: Tx,
  job: JobRow,
  { errno, sentence }: Pick<VasError, "errno" | "sentence">,
): Promise<Pick<JobRow, "phase" | "eventid" | "result" | "last_error" | "payload">> {
  const payload = JSON.stringify({
    ...JSON.parse(job.payload),
    served: job.phase === "serve",
    reason: sentence,
  });
  return { phase: "undo", eventid: await takeEventId(tx), result: errno, last_error: sentence, payload };
}

/**
 * The work of a job that this manager runs is given up. The job goes on, under an event id of its own, to take back what it
 * did; the reason stays what it is, whatever the attempts to do so run into.
 *
 * @returns the job as it goes on.
 * @throws JobGone
 */
export async function giveUpJob(
  tx: Tx,
  jobid: number,
  error: Pick<VasError, "errno" | "sentence">,
  context: OperationContext,
): Promise<JobRow> {
  const job = await assertHeld(tx, jobid, context);
  const change = await undoing(tx, job, error);
  await updateHeldJob(tx, jobid, context.serial, change);
  return { ...job, ...change };
}

/** The errno name in a job's `result` column; undefined if it holds none. */
export function resultName(result: string): ErrorName | undefined {
  return Object.hasOwn(errorRegistry, result) ? (result as ErrorName) : undefined;
}
