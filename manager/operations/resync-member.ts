import type { AgentAddress } from "../../shared/agent-address.js";
import type { VasError } from "../../shared/errors.js";
import { showExtent, showMirror } from "../../shared/ids.js";
import type { ExtentNode } from "../../shared/layout-tree.js";
import {
  BindEvent,
  BindStatus,
  FailureTarget,
  JobStatus,
  MemberStatus,
  Priority,
} from "../../shared/states.js";
import { isLastGood } from "../domain/member-rules.js";
import { isSnapshot, isUsable } from "../domain/snapshot-rules.js";
import { EventType, recordEvent } from "../store/events.js";
import { countFailure, findExtent, membersOfMirror } from "../store/extents.js";
import { updateHeldJob } from "../store/jobs.js";
import { takeEventId } from "../store/sequences.js";
import { addressesByServer, addressesOf, allStorageServers, findHeadServer } from "../store/servers.js";
import { attachmentOf, findMirror, findVolume, type VolumeRow } from "../store/volumes.js";
import { assertHeld, endJob } from "./held-job.js";
import { extentNode } from "./layout-tree.js";
import type { Operation } from "./operation.js";
import { readGrants, type ServerGrant } from "./read-attachment.js";

/** All that a resync job needs to know, as it is in one instant. */
export interface ResyncPlan {
  /** The volume whose attachment the mirror belongs to. */
  readonly volume: VolumeRow;
  readonly mirrorid: number;
  readonly version: number;
  readonly head: AgentAddress;
  /** The grant that the new member's server must hold first. */
  readonly grant: ServerGrant;
  readonly add: ExtentNode;
  /** A member on a lost disk that the head must stop using; undefined if there is none. */
  readonly remove: ExtentNode | undefined;
}

/** @returns `insync` if there is nothing left to do, undefined if the member, or what it was for, is gone. */
export const readResync: Operation<{ readonly dextid: number }, ResyncPlan | "insync" | undefined> = async (
  tx,
  { dextid },
) => {
  const extent = await findExtent(tx, dextid);
  if (extent?.mirrorid == null) return undefined;
  if (extent.status === MemberStatus.INSYNC) return "insync";
  if (extent.status !== MemberStatus.SPARE) return undefined;
  const mirror = await findMirror(tx, extent.mirrorid);
  const owner = mirror && (await findVolume(tx, mirror.lvolid));
  if (mirror === undefined || owner === undefined) return undefined;
  if (isSnapshot(owner) && !isUsable(owner)) return undefined;
  const volume = await attachmentOf(tx, owner);
  if (volume.hsvrid === null) return undefined;
  if (volume.bind_status !== BindStatus.BOUND || volume.bind_event !== BindEvent.NONE) return undefined;
  const head = await findHeadServer(tx, volume.hsvrid);
  const members = await membersOfMirror(tx, mirror.mirrorid);
  const member = members.find((candidate) => candidate.dextid === dextid);
  const grant = (await readGrants(tx, volume.lvolid)).find(
    (candidate) => candidate.ssvrid === member?.ssvrid,
  );
  if (head === undefined || member === undefined || grant === undefined) return undefined;

  const addresses = await addressesByServer(tx, "storage");
  const lostServers = new Set(
    (await allStorageServers(tx)).filter((server) => server.lost === 1).map((server) => server.ssvrid),
  );
  const leaving = members.find(
    (candidate) =>
      candidate.status === MemberStatus.INSYNC &&
      (candidate.disk_priority === Priority.FAULTY ||
        candidate.lost === 1 ||
        lostServers.has(candidate.ssvrid)) &&
      !isLastGood(members, candidate.dextid),
  );
  return {
    volume,
    mirrorid: mirror.mirrorid,
    version: mirror.version,
    head: { addresses: await addressesOf(tx, "head", head.hsvrid), port: head.port },
    grant,
    add: extentNode(member, addresses.get(member.ssvrid) ?? []),
    remove: leaving && extentNode(leaving, addresses.get(leaving.ssvrid) ?? []),
  };
};

interface ResyncJob {
  readonly jobid: number;
  readonly eventid: number;
  readonly dextid: number;
}

/** The head has reported the member INSYNC, and that was accepted: only the job is left to end. */
export const finishResync: Operation<ResyncJob, void> = async (tx, params, context) => {
  const extent = await findExtent(tx, params.dextid);
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
  await recordEvent(tx, {
    time: context.now,
    eventid: params.eventid,
    target: FailureTarget.LVOL,
    targetid: params.dextid,
    event: EventType.RESYNC,
    event_status: 3,
    sentence: `extent ${showExtent(params.dextid)} of mirror ${showMirror(extent?.mirrorid ?? 0)} is in sync`,
  });
};

/** A resync that its head gave up. Attempts count only while the member's server answers. */
export const retryResync: Operation<
  ResyncJob & {
    readonly error: VasError;
    readonly attempts: number;
    readonly runAt: number;
    readonly counts: boolean;
  },
  void
> = async (tx, params, context) => {
  await assertHeld(tx, params.jobid, context);
  if (params.counts) await countFailure(tx, params.dextid);
  await updateHeldJob(tx, params.jobid, context.serial, {
    status: JobStatus.PENDING,
    holder: null,
    eventid: await takeEventId(tx),
    attempts: params.attempts,
    last_error: params.error.sentence,
    run_at: params.runAt,
  });
};
