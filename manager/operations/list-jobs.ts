import { VasError } from "../../shared/errors.js";
import type { JobState } from "../../shared/methods/manager-methods.js";
import { JobStatus } from "../../shared/states.js";
import { findJob, type JobRow } from "../store/jobs.js";
import { jobsToShow } from "../store/steered-jobs.js";
import { showTime } from "./layout-tree.js";
import type { Operation, OperationContext } from "./operation.js";

/** At most so many that have not ended, and so many that have. */
const MAX_JOBS = 1_000;

interface Sources {
  readonly progressOf: (jobid: number) => number;
}

/** Jobs that have not ended, and with `all` the newest of those that have; the oldest first. */
export const listJobs: Operation<Sources & { readonly all?: boolean | undefined }, JobState[]> = async (
  tx,
  { all = false, progressOf },
  context,
) => {
  const ended = all ? await jobsToShow(tx, true, MAX_JOBS) : [];
  const jobs = [...ended, ...(await jobsToShow(tx, false, MAX_JOBS))].sort((a, b) => a.jobid - b.jobid);
  return jobs.map((job) => describe(job, progressOf, context));
};

/** @throws VasError ENOENT */
export const showJob: Operation<Sources & { readonly jobid: number }, JobState> = async (
  tx,
  { jobid, progressOf },
  context,
) => {
  const job = await findJob(tx, jobid);
  if (job === undefined) throw new VasError("ENOENT", `jobid: there is no job ${jobid}`);
  return describe(job, progressOf, context);
};

/** Whole seconds that fit the wire, none below 0: the clock may have been set back. */
const seconds = (milliseconds: number): number =>
  Math.min(0x7fff_ffff, Math.max(0, Math.ceil(milliseconds / 1_000)));

function describe(job: JobRow, progressOf: Sources["progressOf"], { now }: OperationContext): JobState {
  const { jobid, kind, description, status, phase, attempts, last_error, result } = job;
  const waits = status === JobStatus.PENDING;
  return {
    jobid,
    kind,
    subject: description,
    status,
    attempts,
    last_error,
    progress: status === JobStatus.RUNNING ? progressOf(jobid) : status === JobStatus.DONE ? 100 : -1,
    phase,
    created: showTime(job.created_at),
    finished: job.finished_at === null ? "" : showTime(job.finished_at),
    age: seconds((job.finished_at ?? now) - job.created_at),
    next_in: waits ? seconds(job.run_at - now) : -1,
    result,
  };
}
