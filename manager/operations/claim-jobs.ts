import { JobStatus } from "../../shared/states.js";
import type { DueJob, JobRow } from "../store/jobs.js";
import {
  claimJob,
  dueJobs,
  findJob,
  nextRunAt,
  releaseJob,
  releaseJobs,
  runningJobs,
  updateHeldJob,
} from "../store/jobs.js";
import { takeEventId } from "../store/sequences.js";
import { assertHeld, endJob } from "./held-job.js";
import type { Operation } from "./operation.js";

/** Jobs that only talk to agents, at the same time; those that copy or shred have limits of their own. */
const MAX_BINDING_JOBS = 128;
const LOOK_AHEAD = 1_000;

export interface ClaimedJobs {
  readonly jobs: readonly JobRow[];
  /** Wall-clock time at which the next job falls due; undefined if none waits for its time. */
  readonly nextAt: number | undefined;
}

type Slot = "resync" | "shred" | "binding";

/** What a job needs one of. One that is there to have a lost copy left alone must not wait behind hours of copying. */
function slotOf({ kind, copies_nothing }: Pick<DueJob, "kind" | "copies_nothing">): Slot {
  if (kind === "shred") return kind;
  return kind === "resync" && copies_nothing === 0 ? kind : "binding";
}

/**
 * Takes the jobs that may start now: due, and within the limits – one copying resync and one shred per disk, so many shreds
 * per storage server, and so many in all. Resyncs with the fewest good copies go first.
 *
 * @param running ids of the jobs whose handlers run in this process.
 */
export const claimJobs: Operation<{ readonly running: ReadonlySet<number> }, ClaimedJobs> = async (
  tx,
  { running },
  context,
) => {
  const { max_resync_tasks, max_shred_tasks, max_shred_tasks_per_server, max_retry_pause } = context.settings;
  const maxPause = max_retry_pause * 1_000;
  const busyDisks = new Set<string>();
  const count: Record<Slot, number> = { resync: 0, shred: 0, binding: 0 };
  const shreds = new Map<number | null, number>();
  const shredsOf = (ssvrid: number | null): number => shreds.get(ssvrid) ?? 0;
  for (const job of await runningJobs(tx)) {
    // Its handler ended without being able to say so, for example because the disk was full at that moment.
    if (!running.has(job.jobid)) {
      await releaseJob(tx, job.jobid);
      continue;
    }
    const slot = slotOf(job);
    count[slot] += 1;
    if (slot === "shred") shreds.set(job.ssvrid, shredsOf(job.ssvrid) + 1);
    if (slot !== "binding") busyDisks.add(`${slot} ${job.pdskid}`);
  }
  const room = { resync: max_resync_tasks, shred: max_shred_tasks, binding: MAX_BINDING_JOBS };
  const jobs: JobRow[] = [];
  for (const due of await dueJobs(tx, context.now, maxPause, LOOK_AHEAD)) {
    // It was taken from a handler that has not noticed yet: two at once would both hold it.
    if (running.has(due.jobid)) continue;
    const slot = slotOf(due);
    const disk = `${slot} ${due.pdskid}`;
    if (count[slot] >= room[slot] || busyDisks.has(disk)) continue;
    if (slot === "shred" && shredsOf(due.ssvrid) >= max_shred_tasks_per_server) continue;
    if (!(await claimJob(tx, due.jobid, context.serial))) continue;
    count[slot] += 1;
    if (slot === "shred") shreds.set(due.ssvrid, shredsOf(due.ssvrid) + 1);
    if (slot !== "binding") busyDisks.add(disk);
    const job = await findJob(tx, due.jobid);
    if (job !== undefined) jobs.push(job);
  }
  return { jobs, nextAt: await nextRunAt(tx, context.now) };
};

/** At the start of a manager: the jobs that another one was running are taken up again. @returns how many. */
export const takeOverJobs: Operation<Record<string, never>, number> = async (tx) => releaseJobs(tx);

/**
 * An attempt of a job failed; it is tried again, under a new event id, because an agent starts nothing twice under
 * the same one.
 */
export const retryJob: Operation<
  { readonly jobid: number; readonly attempts: number; readonly error: string; readonly runAt: number },
  void
> = async (tx, params, context) => {
  await assertHeld(tx, params.jobid, context);
  await updateHeldJob(tx, params.jobid, context.serial, {
    status: JobStatus.PENDING,
    holder: null,
    eventid: await takeEventId(tx),
    attempts: params.attempts,
    last_error: params.error,
    run_at: params.runAt,
  });
};

/** @returns the job as it is now. */
export const readJob: Operation<{ readonly jobid: number }, JobRow | undefined> = async (tx, { jobid }) =>
  findJob(tx, jobid);

/** Ends a job whose purpose is gone. */
export const cancelHeldJob: Operation<{ readonly jobid: number; readonly reason: string }, void> = async (
  tx,
  { jobid, reason },
  context,
) =>
  endJob(tx, jobid, { status: JobStatus.CANCELED, error: { errno: "ECANCELED", sentence: reason } }, context);
