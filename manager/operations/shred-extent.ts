import type { AgentAddress } from "../../shared/agent-address.js";
import { showDisk, showExtent } from "../../shared/ids.js";
import { EventStatus, FailureTarget, JobStatus, MemberStatus } from "../../shared/states.js";
import { describeExtent } from "../domain/job-descriptions.js";
import { isUp } from "../domain/member-rules.js";
import { shredOrder } from "../domain/shred-order.js";
import { findDisk } from "../store/disks.js";
import { EventType, recordEvent } from "../store/events.js";
import {
  countFailure,
  deleteExtent,
  findExtent,
  insertExtents,
  nextToShred,
  updateExtent,
} from "../store/extents.js";
import { returnRange } from "../store/free-ranges.js";
import { cancelShredsOfDisk, dueShredsByServer, insertJob, updateHeldJob } from "../store/jobs.js";
import { takeEventId, takeIds } from "../store/sequences.js";
import { findStorageServer } from "../store/servers.js";
import { findVolume } from "../store/volumes.js";
import { assertHeld, endJob } from "./held-job.js";
import { notifyFailure } from "./notify-failure.js";
import type { Operation } from "./operation.js";
import { readGrants, type ServerGrant, storageAgent } from "./read-attachment.js";

/** Attempts in a row that the disk itself made fail, after which it is FAULTY. */
export const MAX_SHRED_FAILURES = 3;

/** Pieces of a disk that failed and wait for their next attempt, while others are tried. */
const MAX_WAITING_PER_DISK = 16;

/**
 * Gives each disk that has unshredded space, and no shred under way, its next one, as far as the limits allow; where they
 * don't, the space that is needed most goes first. Large space, as on a new disk, is shredded in slices, so that it
 * becomes usable step by step.
 *
 * @returns how many shreds began.
 */
export const beginShreds: Operation<Record<string, never>, number> = async (tx, _params, context) => {
  const { max_shred_tasks, max_shred_tasks_per_server, shred_slice_gb } = context.settings;
  const perServer = await dueShredsByServer(tx, context.now);
  let room = max_shred_tasks - [...perServer.values()].reduce((total, count) => total + count, 0);
  if (room <= 0) return 0;
  let began = 0;
  const waiting = await nextToShred(tx, context.now, MAX_WAITING_PER_DISK);
  const spaces = waiting.map((space) => ({ ...space, returned: space.last_lvolid !== null }));
  for (const extent of shredOrder(spaces)) {
    const busy = perServer.get(extent.ssvrid) ?? 0;
    if (room <= 0) break;
    if (busy >= max_shred_tasks_per_server) continue;
    const length = Math.min(extent.length, shred_slice_gb);
    if (length < extent.length) {
      const [rest = 0] = await takeIds(tx, "lvol", 1);
      await updateExtent(tx, extent.dextid, { length });
      await insertExtents(tx, [
        {
          dextid: rest,
          pdskid: extent.pdskid,
          offset: extent.offset + length,
          length: extent.length - length,
          generation: extent.generation,
          mirrorid: null,
          status: MemberStatus.NEEDSHRED,
          failures: 0,
          lost: 0,
          last_lvolid: extent.last_lvolid,
        },
      ]);
    }
    const { dextid: subject, pdskid } = extent;
    const description = describeExtent({ dextid: subject, pdskid, length });
    await insertJob(tx, { kind: "shred", subject, payload: {}, description, now: context.now });
    perServer.set(extent.ssvrid, busy + 1);
    room -= 1;
    began += 1;
  }
  return began;
};

/** All that a shred job needs to know, as it is in one instant. */
export interface ShredPlan {
  readonly dextid: number;
  readonly pdskid: number;
  readonly offset: number;
  readonly length: number;
  readonly generation: number;
  readonly agent: AgentAddress;
  /** What must be taken back first: the agent refuses to shred what is granted. */
  readonly release:
    | { readonly lvolid: number; readonly revoke: number }
    | {
        readonly lvolid: number;
        readonly epoch: number;
        readonly hsvrid: number;
        readonly version: number;
        readonly grant: ServerGrant;
      }
    | undefined;
}

/** Every epoch of a volume that is gone; its id is never used again. */
const ALL_EPOCHS = 0x7fff_ffff;

/** @returns undefined if the extent is not waiting for its shred any more. */
export const readShred: Operation<{ readonly dextid: number }, ShredPlan | undefined> = async (
  tx,
  { dextid },
) => {
  const extent = await findExtent(tx, dextid);
  const disk = extent && (await findDisk(tx, extent.pdskid));
  const server = disk && (await findStorageServer(tx, disk.ssvrid));
  if (extent?.status !== MemberStatus.NEEDSHRED || disk === undefined || server === undefined)
    return undefined;
  // Begun anew when it can be: a job that waits for a dead disk would hold a place that others need.
  if (!isUp(disk.priority) || !isUp(server.priority)) return undefined;
  const agent = await storageAgent(tx, disk.ssvrid);
  const { pdskid, offset, length, generation, last_lvolid: lvolid } = extent;
  const place = { dextid, pdskid, offset, length, generation, agent };
  if (lvolid === null) return { ...place, release: undefined };
  const volume = await findVolume(tx, lvolid);
  if (volume === undefined) return { ...place, release: { lvolid, revoke: ALL_EPOCHS } };
  if (volume.epoch_open === 0 || volume.hsvrid === null)
    return { ...place, release: { lvolid, revoke: volume.epoch } };
  const grant = (await readGrants(tx, lvolid)).find((candidate) => candidate.ssvrid === disk.ssvrid) ?? {
    ssvrid: disk.ssvrid,
    agent,
    isUp: true,
    extents: [],
  };
  const { epoch, hsvrid, grant_version: version } = volume;
  return { ...place, release: { lvolid, epoch, hsvrid, version, grant } };
};

interface ShredJob {
  readonly jobid: number;
  readonly dextid: number;
}

/**
 * The disk itself made an attempt fail, as its server reported. The third time in a row it is FAULTY, as if a monitor had
 * said so: its members are healed by the same rules, last copies kept (D3). What was to be shredded stays unshredded.
 *
 * @returns true if that ended the job.
 */
export const failShred: Operation<ShredJob & { readonly sentence: string }, boolean> = async (
  tx,
  { jobid, dextid, sentence },
  context,
) => {
  await assertHeld(tx, jobid, context);
  // An agent tells the end of an event again: this one is counted, and the next attempt has another.
  await updateHeldJob(tx, jobid, context.serial, { eventid: await takeEventId(tx) });
  const extent = await findExtent(tx, dextid);
  const disk = extent && (await findDisk(tx, extent.pdskid));
  // One that is out of use anyway is left as it is.
  if (extent?.status !== MemberStatus.NEEDSHRED || disk === undefined || !isUp(disk.priority)) return false;
  const { pdskid } = extent;
  await countFailure(tx, dextid);
  if (extent.failures + 1 < MAX_SHRED_FAILURES) return false;
  const reason = `shredding disk extent ${showExtent(dextid)} failed ${MAX_SHRED_FAILURES} times in a row, so disk ${showDisk(pdskid)} counts as failed: ${sentence}`;
  const outcome = { event: EventType.SHRED, event_status: EventStatus.ERROR, sentence: reason };
  await recordEvent(tx, { target: FailureTarget.PDSK, targetid: pdskid, ...outcome }, context);
  await notifyFailure(tx, { target: FailureTarget.PDSK, targetid: pdskid }, context);
  await cancelShredsOfDisk(tx, pdskid, { now: context.now, result: "ECANCELED", last_error: reason });
  return true;
};

/** Zeros are durable on all of the extent: its space is free. */
export const finishShred: Operation<ShredJob & { readonly generation: number }, void> = async (
  tx,
  params,
  context,
) => {
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
  const extent = await findExtent(tx, params.dextid);
  if (extent?.status !== MemberStatus.NEEDSHRED || extent.generation !== params.generation) return;
  await deleteExtent(tx, extent.dextid);
  await returnRange(tx, extent.pdskid, extent.offset, extent.length);
};
