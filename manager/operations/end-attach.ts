import type { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, JobStatus } from "../../shared/states.js";
import { type JobRow, updateHeldJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { takeBindNumber } from "../store/sequences.js";
import { closeEpoch, findVolume, moveBinding } from "../store/volumes.js";
import { assertHeld, endJob, giveUpJob, JobGone } from "./held-job.js";
import type { Operation } from "./operation.js";
import { revokeLater } from "./revoke-later.js";

/** How an attach ends: one arrow of the binding each. */
const BINDING = { bind_status: BindStatus.UNBOUND, bind_event: BindEvent.BINDING } as const;

interface AttachJob {
  readonly jobid: number;
  readonly lvolid: number;
}
interface FailedAttach extends AttachJob {
  readonly error: VasError;
}

async function leaveBinding(
  tx: Tx,
  lvolid: number,
  change: Parameters<typeof moveBinding>[3],
): Promise<void> {
  if (!(await moveBinding(tx, lvolid, BINDING, change)))
    throw new JobGone(`volume ${lvolid} is not being attached any more`);
}

/** The head serves the volume. */
export const finishAttach: Operation<AttachJob, void> = async (tx, params, context) => {
  await leaveBinding(tx, params.lvolid, {
    bind_status: BindStatus.BOUND,
    bind_event: BindEvent.NONE,
    bind_number: await takeBindNumber(tx),
  });
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
};

/** The head reported an error: the volume shows it until it is detached. */
export const failAttach: Operation<FailedAttach, void> = async (tx, params, context) => {
  await leaveBinding(tx, params.lvolid, {
    bind_status: BindStatus.ERROR,
    bind_event: BindEvent.NONE,
    epoch_open: 0,
    bind_error: params.error.message,
  });
  await endJob(tx, params.jobid, { status: JobStatus.FAILED, error: params.error }, context);
};

/** From now on the head may have been told of the members: none of them is dropped behind its back. */
export const beginServing: Operation<AttachJob, void> = async (tx, { jobid }, context) => {
  await assertHeld(tx, jobid, context);
  await updateHeldJob(tx, jobid, context.serial, { phase: "serve" });
};

/**
 * The attach is given up: its epoch closes now, and the job goes on to take back what it gave, under an event id of
 * its own.
 *
 * @returns the job as it goes on.
 */
export const giveUpAttach: Operation<FailedAttach, JobRow> = async (tx, params, context) => {
  const job = await giveUpJob(tx, params.jobid, params.error, context);
  await closeEpoch(tx, params.lvolid);
  return job;
};

/**
 * No process of the epoch can write any more: the volume is free again.
 *
 * @param params.unreached storage servers that could not be asked just now: they revoke the epoch later.
 */
export const finishUndo: Operation<FailedAttach & { readonly unreached?: readonly number[] }, void> = async (
  tx,
  params,
  context,
) => {
  const volume = await findVolume(tx, params.lvolid);
  await leaveBinding(tx, params.lvolid, {
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    hsvrid: null,
    bind_error: params.error.message,
  });
  if (volume !== undefined) await revokeLater(tx, volume, params.unreached ?? []);
  await endJob(tx, params.jobid, { status: JobStatus.FAILED, error: params.error }, context);
};
