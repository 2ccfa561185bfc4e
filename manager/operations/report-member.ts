import { VasError } from "../../shared/errors.js";
import { showExtent, showMirror, showVolume } from "../../shared/ids.js";
import type { MirrorState } from "../../shared/methods/manager-methods.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { isSoundInSync, surplusMembers } from "../domain/evacuation-rules.js";
import { describeMember } from "../domain/job-descriptions.js";
import { isDeclaredLost, isLastGood } from "../domain/member-rules.js";
import { assertOpenEpoch, nameVolume } from "../domain/volume-rules.js";
import { EventType, recordEvent } from "../store/events.js";
import { type MemberRow, membersOfMirror, moveMember } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { lostStorageServers } from "../store/servers.js";
import {
  findMirror,
  findVolume,
  type MirrorRow,
  raiseMirrorVersion,
  type VolumeRow,
} from "../store/volumes.js";
import type { Operation } from "./operation.js";

/** What a head may say of the members of its mirrors (rules R1 and R2). */
export interface MirrorRef {
  readonly lvolid: number;
  readonly epoch: number;
  readonly mirrorid: number;
}
export interface MemberReport extends MirrorRef {
  readonly dextid: number;
  /** The membership version that the head knows. */
  readonly version: number;
}

interface OpenMirror {
  /** The volume whose attachment it belongs to. */
  readonly attachment: VolumeRow;
  readonly mirror: MirrorRow;
  /** The volume or snapshot that it is a part of. */
  readonly owner: VolumeRow;
  readonly members: readonly MemberRow[];
}

/** @throws VasError ENOENT, or ESTALE if the epoch is closed. */
async function openMirror(tx: Tx, ref: MirrorRef): Promise<OpenMirror> {
  const volume = await findVolume(tx, ref.lvolid);
  if (volume === undefined) throw new VasError("ESTALE", `there is no volume ${showVolume(ref.lvolid)}`);
  assertOpenEpoch(volume, ref.epoch);
  const mirror = await findMirror(tx, ref.mirrorid);
  const owner = mirror && (await findVolume(tx, mirror.lvolid));
  // A mirror of a snapshot is its origin's head's to report.
  if (mirror === undefined || owner === undefined || (owner.origin_lvolid ?? owner.lvolid) !== ref.lvolid) {
    throw new VasError(
      "ENOENT",
      `volume ${showVolume(ref.lvolid)} has no mirror ${showMirror(ref.mirrorid)}`,
    );
  }
  return { attachment: volume, mirror, owner, members: await membersOfMirror(tx, ref.mirrorid) };
}

function memberOf(members: readonly MemberRow[], report: MemberReport): MemberRow {
  const member = members.find((candidate) => candidate.dextid === report.dextid);
  if (member !== undefined) return member;
  throw new VasError(
    "ENOENT",
    `extent ${showExtent(report.dextid)} is not a member of mirror ${showMirror(report.mirrorid)}`,
  );
}

function pastVersion(mirror: MirrorRow, report: MemberReport): VasError {
  return new VasError(
    "EAGAIN",
    `mirror ${showMirror(mirror.mirrorid)} is at version ${mirror.version}, not ${report.version}`,
  );
}

/**
 * In an attachment for maintenance nobody writes, so that a copy that can't be reached has missed nothing (R2): it is no reason to
 * give it up, but one to try another time, or at another head.
 *
 * @throws VasError ESTALE unless the copy is to leave anyhow; the process ends then, and the manager looks further.
 */
async function assertMayLeave(
  tx: Tx,
  member: MemberRow,
  { attachment, owner, members }: OpenMirror,
): Promise<void> {
  if (attachment.maintenance === 0 || isDeclaredLost(member, await lostStorageServers(tx))) return;
  if (surplusMembers(members.filter(isSoundInSync), owner.redundancy).includes(member)) return;
  throw new VasError(
    "ESTALE",
    `extent ${showExtent(member.dextid)} is in sync, and ${nameVolume(attachment)} is only maintained: none is given up for that`,
  );
}

/**
 * A member missed, or may have missed, a write. The version rises even if the status does not change: an in-sync
 * report that is still under way must not be accepted any more (R1).
 *
 * @throws VasError EBUSY if it is the last good copy (D3), EAGAIN if an INSYNC member is reported with a past version
 * (a report that was held up, and that a later in-sync report has overtaken).
 */
export const reportMemberFailure: Operation<MemberReport, { version: number }> = async (
  tx,
  report,
  context,
) => {
  const open = await openMirror(tx, report);
  const { mirror, owner, members } = open;
  const member = memberOf(members, report);
  if (member.status === MemberStatus.INSYNC) {
    await assertMayLeave(tx, member, open);
    if (report.version !== mirror.version) throw pastVersion(mirror, report);
    if (isLastGood(members, member.dextid)) {
      throw new VasError(
        "EBUSY",
        `extent ${showExtent(member.dextid)} is the last good copy of mirror ${showMirror(mirror.mirrorid)}`,
      );
    }
    await moveMember(tx, member.dextid, MemberStatus.INSYNC, MemberStatus.SPARE);
    const about = { target: FailureTarget.LVOL, targetid: member.dextid };
    const isUnneeded = surplusMembers(members.filter(isSoundInSync), owner.redundancy).includes(member);
    const what = describeMember(member, owner);
    const sentence = isUnneeded
      ? `${what} is not used any more: its mirror has ${owner.redundancy} others`
      : `${what} is out of sync: its head could not write it`;
    await recordEvent(tx, { ...about, event: EventType.ABNORMAL, sentence }, context);
  }
  return { version: await raiseMirrorVersion(tx, mirror.mirrorid) };
};

/**
 * A member holds the content of its mirror.
 *
 * @throws VasError EAGAIN unless the head knows the newest version: a failure was recorded since it looked.
 */
export const reportMemberInSync: Operation<MemberReport, { version: number }> = async (tx, report) => {
  const { mirror, members } = await openMirror(tx, report);
  const member = memberOf(members, report);
  if (report.version !== mirror.version) throw pastVersion(mirror, report);
  if (member.status === MemberStatus.FAULTY) {
    throw new VasError(
      "ENOENT",
      `extent ${showExtent(member.dextid)} was replaced in mirror ${showMirror(mirror.mirrorid)}`,
    );
  }
  await moveMember(tx, member.dextid, MemberStatus.SPARE, MemberStatus.INSYNC);
  return { version: await raiseMirrorVersion(tx, mirror.mirrorid) };
};

/**
 * The version and members of a mirror, for the head that holds its volume's open epoch.
 *
 * With `starting` a new process of the same epoch is about to trust the answer: the version rises, so that a report of
 * the one before, sent before it died and held up on its way, changes nothing that the new one would not know (R1).
 */
export const getMirror: Operation<
  MirrorRef & { readonly starting?: boolean | undefined },
  MirrorState
> = async (tx, ref) => {
  const { mirror, members } = await openMirror(tx, ref);
  return {
    version: ref.starting === true ? await raiseMirrorVersion(tx, mirror.mirrorid) : mirror.version,
    members: members.map((member) => ({ dextid: member.dextid, mirror_status: member.status })),
  };
};
