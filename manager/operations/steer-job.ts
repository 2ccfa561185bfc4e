import { type ErrorName, VasError } from "../../shared/errors.js";
import { BindEvent, JobStatus } from "../../shared/states.js";
import { findJob, hastenJob, type JobKind, type JobRow } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { endHold, HELD, updateOpenJob } from "../store/steered-jobs.js";
import { closeEpoch, findVolume, moveBinding } from "../store/volumes.js";
import { keepSnapshot } from "./end-snapshot.js";
import { undoing } from "./held-job.js";
import type { Operation, OperationContext } from "./operation.js";

interface JobRef {
  readonly jobid: number;
}

const nameJob = ({ jobid, kind, description }: JobRow): string => `job ${jobid} (${kind} of ${description})`;

const isOpen = ({ status }: JobRow): boolean => status === JobStatus.PENDING || status === JobStatus.RUNNING;

async function findKnown(tx: Tx, jobid: number): Promise<JobRow> {
  const job = await findJob(tx, jobid);
  if (job === undefined) throw new VasError("ENOENT", `jobid: there is no job ${jobid}`);
  return job;
}

function refuse(job: JobRow, errno: ErrorName, why: string): never {
  throw new VasError(errno, `${nameJob(job)} can't be cancelled: ${why}`);
}

/**
 * A person wants a job to end without its purpose. Decided and done in this transaction: a handler that runs it holds it no
 * more, and ends quietly. Everything is as after a failure of its step; what it did is undone by the job itself, which goes on.
 *
 * @returns true if that changed anything: the job was neither cancelled before nor is it being undone because of it.
 * @throws VasError ENOENT, EINVAL, EPERM, EBUSY, EHOSTDOWN
 */
export const cancelJob: Operation<JobRef, boolean> = async (tx, { jobid }, context) => {
  const job = await findKnown(tx, jobid);
  if (job.status === JobStatus.CANCELED || (isOpen(job) && job.result === "ECANCELED")) return false;
  if (!isOpen(job)) refuse(job, "EINVAL", "it has ended");
  await cancellations[job.kind as JobKind](tx, job, context); // written by insertJob only
  return true;
};

type Cancellation = (tx: Tx, job: JobRow, context: OperationContext) => Promise<void>;

const CANCELLED = "it was cancelled by a person (cancelJob)";

const refused =
  (why: string): Cancellation =>
  async (_tx, job) =>
    refuse(job, "EPERM", why);

/** It goes on, to take back what it did; whoever waits for it is told at once. */
const giveUp: Cancellation = async (tx, job, { now }) => {
  if (job.phase === "undo") refuse(job, "EBUSY", "it has failed already and is being undone");
  const change = await undoing(tx, job, { errno: "ECANCELED", sentence: CANCELLED });
  const attempts = job.attempts + 1;
  await updateOpenJob(tx, job.jobid, {
    ...change,
    status: JobStatus.PENDING,
    holder: null,
    attempts,
    run_at: now,
  });
};

async function end(tx: Tx, job: JobRow, { now }: OperationContext, phase = job.phase): Promise<void> {
  await updateOpenJob(tx, job.jobid, {
    status: JobStatus.CANCELED,
    holder: null,
    finished_at: now,
    result: "ECANCELED",
    last_error: CANCELLED,
    phase,
  });
}

const cancellations: Readonly<Record<JobKind, Cancellation>> = {
  attach: async (tx, job, context) => {
    const volume = await findVolume(tx, job.subject);
    if (volume?.maintenance === 1)
      refuse(
        job,
        "EPERM",
        "it is for the volume's copies alone, and ends by itself when the volume is attached",
      );
    await giveUp(tx, job, context);
    await closeEpoch(tx, job.subject);
  },
  "create-snapshot": giveUp,
  detach: async (tx, job, context) => {
    const volume = await findVolume(tx, job.subject);
    if (job.phase === "revoke" || volume?.bind_event !== BindEvent.UNBINDING)
      refuse(job, "EBUSY", "its head server has let go of the volume, and the detach ends by itself");
    await moveBinding(tx, volume.lvolid, volume, {
      bind_status: volume.bind_status,
      bind_event: BindEvent.NONE,
      bind_error: `ECANCELED: the detach did not end: ${CANCELLED}`,
    });
    await end(tx, job, context);
  },
  "delete-snapshot": async (tx, job, context) => {
    if (job.phase !== "begin") refuse(job, "EBUSY", "its head server may have ended the snapshot already");
    await keepSnapshot(tx, job);
    await end(tx, job, context);
  },
  resync: (tx, job, context) => end(tx, job, context, HELD),
  fence: refused(
    "until it has ended an old head server may still write, and the volume can't be attached elsewhere",
  ),
  "end-maintenance": refused("until it has ended a head server may run a process that nobody needs"),
  shred: refused("its space holds old bytes, which nobody may be given"),
};

/**
 * A job that waits for its next attempt is tried now; a resync that a person cancelled may begin again.
 *
 * @throws VasError ENOENT, EINVAL
 */
export const retryWaitingJob: Operation<JobRef, 0> = async (tx, { jobid }, context) => {
  const job = await findKnown(tx, jobid);
  if (job.phase === HELD && job.status === JobStatus.CANCELED) {
    await endHold(tx, jobid);
    return 0;
  }
  if (!isOpen(job)) throw new VasError("EINVAL", `${nameJob(job)} has ended: there is nothing to try again`);
  await hastenJob(tx, job.kind as JobKind, job.subject, context.now); // written by insertJob only
  return 0;
};
