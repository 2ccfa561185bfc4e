import type { AgentAddress } from "../../shared/agent-address.js";
import { VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import type { SnapshotNode } from "../../shared/layout-tree.js";
import { BindEvent, BindStatus, JobStatus, SnapshotStatus } from "../../shared/states.js";
import { membersOfVolume } from "../store/extents.js";
import { cancelResyncsOfVolume, type JobRow, updateHeldJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { addressesOf, findHeadServer } from "../store/servers.js";
import {
  attachmentOf,
  deleteVolumeRows,
  findVolume,
  moveSnapshot,
  raiseGrantVersion,
  type VolumeRow,
} from "../store/volumes.js";
import { dismissMember } from "./dismiss-member.js";
import { assertHeld, endJob, giveUpJob, JobGone } from "./held-job.js";
import { readSnapshotTree } from "./layout-tree.js";
import type { Operation, OperationContext } from "./operation.js";
import { readGrants, type ServerGrant } from "./read-attachment.js";

/** All that a job needs to talk to agents about a snapshot, as it is in one instant. */
export interface SnapshotPlan {
  readonly snapshot: VolumeRow;
  readonly origin: VolumeRow;
  readonly tree: SnapshotNode;
  /** The head that has the epoch under which the job began; undefined if none has it any more. */
  readonly head: AgentAddress | undefined;
  /** The grants of the servers that hold a member of the copy-on-write space. */
  readonly grants: readonly ServerGrant[];
}

/** @returns undefined if the snapshot is gone. */
export const readSnapshot: Operation<
  { readonly lvolid: number; readonly epoch: number },
  SnapshotPlan | undefined
> = async (tx, { lvolid, epoch }) => {
  const snapshot = await findVolume(tx, lvolid);
  if (snapshot === undefined) return undefined;
  const origin = await attachmentOf(tx, snapshot);
  const head =
    isServed(origin, epoch) && origin.hsvrid !== null ? await findHeadServer(tx, origin.hsvrid) : undefined;
  const concerned = new Set((await membersOfVolume(tx, lvolid)).map(({ ssvrid }) => ssvrid));
  return {
    snapshot,
    origin,
    tree: await readSnapshotTree(tx, snapshot, origin),
    head: head && { addresses: await addressesOf(tx, "head", head.hsvrid), port: head.port },
    grants: (await readGrants(tx, origin.lvolid)).filter(({ ssvrid }) => concerned.has(ssvrid)),
  };
};

interface SnapshotJob {
  readonly jobid: number;
  readonly lvolid: number;
}
interface FailedSnapshot extends SnapshotJob {
  readonly error: VasError;
}

async function findHeld(tx: Tx, { lvolid }: SnapshotJob, status: SnapshotStatus): Promise<VolumeRow> {
  const snapshot = await findVolume(tx, lvolid);
  if (snapshot?.snapshot_status !== status) throw new JobGone(`snapshot ${lvolid} is not there any more`);
  return snapshot;
}

/** From now on the head may know the snapshot: it is undone there first. */
export const beginTakingSnapshot: Operation<SnapshotJob, void> = async (tx, { jobid }, context) => {
  await assertHeld(tx, jobid, context);
  await updateHeldJob(tx, jobid, context.serial, { phase: "serve" });
};

/**
 * What a head says of a snapshot counts only while its attachment is the one that it was asked under: another one has been
 * told which snapshots it keeps, and this one was not among them.
 *
 * @throws VasError EHOSTDOWN
 */
async function assertStillServed(tx: Tx, snapshot: VolumeRow, job: JobRow): Promise<void> {
  const origin = await attachmentOf(tx, snapshot);
  const { epoch } = JSON.parse(job.payload) as { readonly epoch: number };
  if (isServed(origin, epoch)) return;
  throw new VasError("EHOSTDOWN", "the volume is not served by that head server any more");
}

function isServed(origin: VolumeRow, epoch: number): boolean {
  return (
    origin.epoch === epoch &&
    origin.epoch_open === 1 &&
    origin.bind_status === BindStatus.BOUND &&
    origin.bind_event === BindEvent.NONE
  );
}

/** From now on the head may have been told to end the snapshot: only its own word brings that back. */
export const beginEndingSnapshot: Operation<SnapshotJob, void> = async (tx, { jobid }, context) => {
  await assertHeld(tx, jobid, context);
  await updateHeldJob(tx, jobid, context.serial, { phase: "serve" });
};

/**
 * Part of an operation: a snapshot that was to be deleted, of which no head was told, stays as it was.
 *
 * @throws VasError EHOSTDOWN if its volume was attached anew since, without it
 */
export async function keepSnapshot(tx: Tx, job: JobRow): Promise<void> {
  const snapshot = await findHeld(tx, { jobid: job.jobid, lvolid: job.subject }, SnapshotStatus.DELETING);
  await assertStillServed(tx, snapshot, job);
  await moveSnapshot(tx, job.subject, SnapshotStatus.DELETING, SnapshotStatus.READY);
}

/** The head has taken the snapshot, and keeps it. @throws VasError EIO if it could not be kept since */
export const finishSnapshot: Operation<SnapshotJob, void> = async (tx, params, context) => {
  const snapshot = await findHeld(tx, params, SnapshotStatus.CREATING);
  await assertStillServed(tx, snapshot, await assertHeld(tx, params.jobid, context));
  if (snapshot.snapshot_lost === 1)
    throw new VasError("EIO", `snapshot ${snapshot.lvolname} could not be kept: its space failed`);
  await moveSnapshot(tx, params.lvolid, SnapshotStatus.CREATING, SnapshotStatus.READY);
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
};

/**
 * The snapshot is not to be. The job goes on, under an event id of its own, to take it from the head, who may have it.
 *
 * @returns the job as it goes on.
 */
export const giveUpSnapshot: Operation<FailedSnapshot, JobRow> = async (tx, params, context) =>
  giveUpJob(tx, params.jobid, params.error, context);

/** No head has the snapshot: it is as if it had never been asked for. */
export const finishSnapshotUndo: Operation<FailedSnapshot, void> = async (tx, params, context) => {
  const snapshot = await findHeld(tx, params, SnapshotStatus.CREATING);
  await removeSnapshot(tx, snapshot, context);
  await endJob(tx, params.jobid, { status: JobStatus.FAILED, error: params.error }, context);
};

/** No head has the snapshot: its space is shredded before anyone else gets it. */
export const finishSnapshotDeletion: Operation<SnapshotJob, void> = async (tx, params, context) => {
  const snapshot = await findHeld(tx, params, SnapshotStatus.DELETING);
  await removeSnapshot(tx, snapshot, context);
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
};

/** The head did not end the snapshot, and says why: it stays as it was. */
export const refuseSnapshotDeletion: Operation<FailedSnapshot, void> = async (tx, params, context) => {
  const snapshot = await findHeld(tx, params, SnapshotStatus.DELETING);
  await assertStillServed(tx, snapshot, await assertHeld(tx, params.jobid, context));
  await moveSnapshot(tx, params.lvolid, SnapshotStatus.DELETING, SnapshotStatus.READY);
  await endJob(tx, params.jobid, { status: JobStatus.FAILED, error: params.error }, context);
};

/**
 * Part of an operation: frees the space of a snapshot that no head uses. What a grant may still name of it is taken back
 * before its shred.
 */
export async function removeSnapshot(tx: Tx, snapshot: VolumeRow, context: OperationContext): Promise<void> {
  const { lvolid, origin_lvolid } = snapshot;
  if (origin_lvolid === null) throw new Error(`${showVolume(lvolid)} is no snapshot`);
  const gone = { now: context.now, result: "ECANCELED", last_error: "the snapshot was deleted" };
  await cancelResyncsOfVolume(tx, lvolid, gone);
  for (const member of await membersOfVolume(tx, lvolid)) await dismissMember(tx, member, origin_lvolid);
  await raiseGrantVersion(tx, origin_lvolid);
  await deleteVolumeRows(tx, lvolid);
}
