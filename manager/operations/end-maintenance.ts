import type { AgentAddress } from "../../shared/agent-address.js";
import type { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, JobStatus } from "../../shared/states.js";
import { describeBinding } from "../domain/job-descriptions.js";
import { isUp } from "../domain/member-rules.js";
import { attemptsOfResyncs, cancelOpenJobs, cancelResyncsOfVolume, insertJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { addressesOf, findHeadServer } from "../store/servers.js";
import { findVolume, maintainedVolumes, moveBinding, type VolumeRow } from "../store/volumes.js";
import { dropSurplusMembers } from "./drop-surplus-members.js";
import { endJob } from "./held-job.js";
import type { Operation, OperationContext } from "./operation.js";
import { type Attachment, readAttachment } from "./read-attachment.js";
import { revokeLater } from "./revoke-later.js";

/**
 * Part of an operation: a volume that is attached for maintenance is detached with this commit, whatever its head is doing,
 * since a user wants it, or nothing is left to do. Any other volume stays as it is.
 *
 * Nobody waits for the head (R15), and none of the rules needs that. From now on its reports are refused, so that no copy
 * becomes INSYNC by it (R1). It writes nothing but copies of what INSYNC members hold; what else it still sends is refused
 * by each storage server as soon as that is granted the next epoch, or shreds an extent of it. A job tells it to end.
 *
 * @returns the volume as it is then.
 */
export async function endMaintenance(
  tx: Tx,
  volume: VolumeRow,
  context: OperationContext,
): Promise<VolumeRow> {
  if (volume.maintenance === 0) return volume;
  const { lvolid, epoch, hsvrid } = volume;
  const gone = { now: context.now, result: "ECANCELED", last_error: "the volume is needed, or in sync" };
  await cancelOpenJobs(tx, ["attach"], lvolid, gone);
  await cancelResyncsOfVolume(tx, lvolid, gone);
  const detached = {
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    hsvrid: null,
    epoch_open: 0,
    maintenance: 0,
  } as const;
  await moveBinding(tx, lvolid, volume, detached);
  await insertJob(tx, {
    kind: "end-maintenance",
    subject: lvolid,
    payload: { epoch, hsvrid },
    description: describeBinding(volume, "at", hsvrid),
    now: context.now,
  });
  return { ...volume, ...detached };
}

/** Attempts of a resync after which a volume's place is given to another one. */
const HOPELESS_ATTEMPTS = 4;

/** Volumes that are attached for maintenance. @returns their ids */
export const listMaintained: Operation<Record<string, never>, number[]> = async (tx) =>
  (await maintainedVolumes(tx)).map(({ lvolid }) => lvolid);

/**
 * Nothing more can be done for a volume now.
 *
 * @param params.wanted something is left to do, but its resyncs may fail again and again, as from a source that can't be read:
 * then others get its place.
 * @returns false if its head is still at something.
 */
export const endIdleMaintenance: Operation<
  { readonly lvolid: number; readonly wanted: boolean },
  boolean
> = async (tx, { lvolid, wanted }, context) => {
  const volume = await findVolume(tx, lvolid);
  if (volume === undefined || volume.maintenance === 0) return false;
  const attempts = await attemptsOfResyncs(tx, lvolid);
  const isBusy = wanted
    ? attempts.length === 0 || attempts.some((count) => count < HOPELESS_ATTEMPTS)
    : attempts.length > 0;
  if (isBusy) return false;
  await endMaintenance(tx, volume, context);
  return true;
};

interface MaintenanceJob {
  readonly jobid: number;
  readonly lvolid: number;
}

/** The attach that an attachment for maintenance begins with has failed. */
export const failMaintenance: Operation<MaintenanceJob & { readonly error: VasError }, void> = async (
  tx,
  { jobid, lvolid, error },
  context,
) => {
  await endJob(tx, jobid, { status: JobStatus.FAILED, error }, context);
  const volume = await findVolume(tx, lvolid);
  if (volume !== undefined) await endMaintenance(tx, volume, context);
};

/** Whom the end of an attachment for maintenance has to be told. */
export interface LeavingHead {
  /** Undefined if the head server is not known any more. */
  readonly head: AgentAddress | undefined;
  readonly isUp: boolean;
  readonly attachment: Attachment;
}

/** @returns undefined if the volume is gone: its space is shredded, which takes every grant back. */
export const readLeavingHead: Operation<
  { readonly lvolid: number; readonly hsvrid: number },
  LeavingHead | undefined
> = async (tx, { lvolid, hsvrid }, context) => {
  const attachment = await readAttachment(tx, { lvolid }, context);
  if (attachment === undefined) return undefined;
  const head = await findHeadServer(tx, hsvrid);
  return {
    head: head && { addresses: await addressesOf(tx, "head", hsvrid), port: head.port },
    isUp: head !== undefined && isUp(head.priority),
    attachment,
  };
};

/**
 * The head does not use the volume any more, or can't.
 *
 * @param params.unreached see `finishDetach`
 */
export const finishMaintenance: Operation<
  MaintenanceJob & { readonly epoch: number; readonly unreached: readonly number[] },
  void
> = async (tx, { jobid, lvolid, epoch, unreached }, context) => {
  const volume = await findVolume(tx, lvolid);
  if (volume?.hsvrid === null && volume.epoch === epoch) await dropSurplusMembers(tx, lvolid, unreached);
  await revokeLater(tx, { lvolid, epoch }, unreached);
  await endJob(tx, jobid, { status: JobStatus.DONE }, context);
};
