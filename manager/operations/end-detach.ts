import type { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, JobStatus } from "../../shared/states.js";
import { cancelResyncsOfVolume, updateHeldJob } from "../store/jobs.js";
import { closeEpoch, findVolume, moveBinding } from "../store/volumes.js";
import { dropSurplusMembers } from "./drop-surplus-members.js";
import { assertHeld, endJob, JobGone } from "./held-job.js";
import type { Operation } from "./operation.js";
import { revokeLater } from "./revoke-later.js";

/** How a detach ends, and a fence. */
interface DetachJob {
  readonly jobid: number;
  readonly lvolid: number;
}

/** The head confirmed that no process of the epoch lives: nothing of it is accepted from now on. */
export const closeDetached: Operation<DetachJob, void> = async (tx, params, context) => {
  await assertHeld(tx, params.jobid, context);
  await updateHeldJob(tx, params.jobid, context.serial, { phase: "revoke" });
  await closeEpoch(tx, params.lvolid);
};

/**
 * The volume is free: its head confirmed, or its epoch is revoked everywhere.
 *
 * @param params.unreached storage servers that could not be asked just now: their copies are none too many, and they revoke
 * the epoch later.
 */
export const finishDetach: Operation<DetachJob & { readonly unreached?: readonly number[] }, void> = async (
  tx,
  params,
  context,
) => {
  const volume = await findVolume(tx, params.lvolid);
  if (volume === undefined || volume.bind_event !== BindEvent.UNBINDING) {
    throw new JobGone(`volume ${params.lvolid} is not being detached any more`);
  }
  const gone = { now: context.now, result: "ECANCELED", last_error: "the volume was detached" };
  await cancelResyncsOfVolume(tx, params.lvolid, gone);
  await moveBinding(tx, params.lvolid, volume, {
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    hsvrid: null,
    epoch_open: 0,
  });
  await dropSurplusMembers(tx, params.lvolid, params.unreached ?? []);
  await revokeLater(tx, volume, params.unreached ?? []);
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
};

/** The head would not, or could not be asked: the volume stays where it is. */
export const refuseDetach: Operation<DetachJob & { readonly error: VasError }, void> = async (
  tx,
  params,
  context,
) => {
  const volume = await findVolume(tx, params.lvolid);
  if (volume === undefined || volume.bind_event !== BindEvent.UNBINDING) {
    throw new JobGone(`volume ${params.lvolid} is not being detached any more`);
  }
  await moveBinding(tx, params.lvolid, volume, {
    bind_status: volume.bind_status,
    bind_event: BindEvent.NONE,
    bind_error: params.error.message,
  });
  await endJob(tx, params.jobid, { status: JobStatus.FAILED, error: params.error }, context);
};
