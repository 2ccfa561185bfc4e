import type { AgentAddress } from "../../shared/agent-address.js";
import type { VasError } from "../../shared/errors.js";
import type { ExtentNode } from "../../shared/layout-tree.js";
import { BindEvent, BindStatus, JobStatus, MemberStatus } from "../../shared/states.js";
import { isSoundInSync, surplusMembers } from "../domain/evacuation-rules.js";
import { isDeclaredLost, leavingMembers } from "../domain/member-rules.js";
import { isSnapshot, isUsable } from "../domain/snapshot-rules.js";
import { countFailure, findExtent, type MemberRow, membersOfMirror } from "../store/extents.js";
import { updateHeldJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { takeEventId } from "../store/sequences.js";
import { addressesByServer, addressesOf, findHeadServer, lostStorageServers } from "../store/servers.js";
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
  /** The grant that the new member's server must hold first; undefined if the member is in sync, and has it. */
  readonly grant: ServerGrant | undefined;
  readonly add: ExtentNode;
  /** A member that was declared lost, or is not needed, and that the head must stop using; undefined if there is none. */
  readonly remove: ExtentNode | undefined;
}

/**
 * A member that is in sync is resynced as long as its head uses a lost one, or one that is not needed: it is put in its own
 * place, and the other is left out.
 *
 * @returns `insync` if there is nothing left to do, undefined if the member, or what it was for, is gone.
 */
export const readResync: Operation<{ readonly dextid: number }, ResyncPlan | "insync" | undefined> = async (
  tx,
  { dextid },
) => {
  const extent = await findExtent(tx, dextid);
  if (extent?.mirrorid == null) return undefined;
  const isInSync = extent.status === MemberStatus.INSYNC;
  if (!isInSync && extent.status !== MemberStatus.SPARE) return undefined;
  const ended = isInSync ? "insync" : undefined;
  const mirror = await findMirror(tx, extent.mirrorid);
  const owner = mirror && (await findVolume(tx, mirror.lvolid));
  if (mirror === undefined || owner === undefined) return ended;
  if (isSnapshot(owner) && !isUsable(owner)) return ended;
  const volume = await attachmentOf(tx, owner);
  if (volume.hsvrid === null) return ended;
  if (volume.bind_status !== BindStatus.BOUND || volume.bind_event !== BindEvent.NONE) return ended;
  const head = await findHeadServer(tx, volume.hsvrid);
  const members = await membersOfMirror(tx, mirror.mirrorid);
  const member = members.find((candidate) => candidate.dextid === dextid);
  if (head === undefined || member === undefined) return ended;
  const lostServers = await lostStorageServers(tx);
  const leaving = [
    ...leavingMembers(members, lostServers),
    ...surplusMembers(members.filter(isSoundInSync), owner.redundancy),
  ];
  const remove = toRemove(members, { member, leaving }, lostServers);
  if (isInSync && remove === undefined) return "insync";
  const grant = isInSync ? undefined : await grantOf(tx, volume.lvolid, member.ssvrid);
  if (!isInSync && grant === undefined) return undefined;

  const addresses = await addressesByServer(tx, "storage");
  return {
    volume,
    mirrorid: mirror.mirrorid,
    version: mirror.version,
    head: { addresses: await addressesOf(tx, "head", head.hsvrid), port: head.port },
    grant,
    add: extentNode(member, addresses.get(member.ssvrid) ?? []),
    remove: remove && extentNode(remove, addresses.get(remove.ssvrid) ?? []),
  };
};

/** The first of the SPARE members takes the place of the first that leaves, and so on; any one removes the last, too. */
function toRemove(
  members: readonly MemberRow[],
  of: { readonly member: MemberRow; readonly leaving: readonly MemberRow[] },
  lostServers: ReadonlySet<number>,
): MemberRow | undefined {
  const { member } = of;
  const leaving = of.leaving.filter(({ dextid }) => dextid !== member.dextid);
  const spares = members.filter(
    (other) => other.status === MemberStatus.SPARE && !isDeclaredLost(other, lostServers),
  );
  const turn = Math.max(0, spares.indexOf(member));
  return leaving[Math.min(turn, leaving.length - 1)];
}

async function grantOf(tx: Tx, lvolid: number, ssvrid: number): Promise<ServerGrant | undefined> {
  return (await readGrants(tx, lvolid)).find((grant) => grant.ssvrid === ssvrid);
}

interface ResyncJob {
  readonly jobid: number;
  readonly dextid: number;
}

/** The head has reported the member INSYNC, and that was accepted: only the job is left to end. */
export const finishResync: Operation<ResyncJob, void> = async (tx, params, context) => {
  await endJob(tx, params.jobid, { status: JobStatus.DONE }, context);
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
