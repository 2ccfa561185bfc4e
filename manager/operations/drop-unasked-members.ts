import { VasError } from "../../shared/errors.js";
import { showMirror, showStorageServer } from "../../shared/ids.js";
import { FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { describeMember } from "../domain/job-descriptions.js";
import { isGood } from "../domain/member-rules.js";
import { isSnapshot, isUsable } from "../domain/snapshot-rules.js";
import { nameVolume } from "../domain/volume-rules.js";
import { EventType, recordEvent } from "../store/events.js";
import { type MemberRow, membersOfAttachment, moveMember } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { findStorageServer } from "../store/servers.js";
import { findVolume, raiseMirrorVersion, snapshotsOf, type VolumeRow } from "../store/volumes.js";
import { assertHeld } from "./held-job.js";
import type { Operation, OperationContext } from "./operation.js";
import { loseSnapshot } from "./report-snapshot.js";

export interface UnaskedMembers {
  readonly jobid: number;
  /** The volume that is attached or fenced. */
  readonly lvolid: number;
  readonly ssvrids: readonly number[];
  /** Only the members of this snapshot, which is being taken. */
  readonly snapshot?: number;
  /**
   * In a fence: the last copy of a snapshot stays as it is. The old head can't change the origin any more, and the next
   * attach needs the grant of that copy's server anyway.
   */
  readonly isFence?: boolean;
}

/**
 * In an attach or a fence, or when a snapshot is taken: the members on servers that could not be asked leave INSYNC, all
 * or none of them. A snapshot of which all copies were declared lost is lost; it holds up nobody.
 *
 * @throws VasError EHOSTDOWN, naming the server, if one of them is the last good copy of its mirror (D3).
 */
export const dropUnaskedMembers: Operation<UnaskedMembers, void> = async (tx, params, context) => {
  await assertHeld(tx, params.jobid, context);
  const volumes = await volumesConcerned(tx, params);
  const members = (await membersOfAttachment(tx, params.lvolid)).filter(({ lvolid }) => volumes.has(lvolid));
  const good = new Map<number, number>();
  for (const member of members) {
    if (isGood(member)) good.set(member.mirrorid, (good.get(member.mirrorid) ?? 0) + 1);
  }
  const lost = new Set<number>();
  for (const member of members) {
    if (member.status !== MemberStatus.INSYNC || !params.ssvrids.includes(member.ssvrid)) continue;
    if (lost.has(member.lvolid)) continue;
    const left = (good.get(member.mirrorid) ?? 0) - 1;
    if (left === 0) {
      const volume = volumes.get(member.lvolid) as VolumeRow; // the members were chosen by it
      if (params.isFence === true && isSnapshot(volume)) continue;
      await keepOrLose(tx, volume, member, context);
      lost.add(volume.lvolid);
      continue;
    }
    good.set(member.mirrorid, left);
    await moveMember(tx, member.dextid, MemberStatus.INSYNC, MemberStatus.SPARE);
    await raiseMirrorVersion(tx, member.mirrorid);
    const owner = volumes.get(member.lvolid) as VolumeRow; // the members were chosen by it
    const sentence = `${describeMember(member, owner)} is out of sync: ${showStorageServer(member.ssvrid)} could not be asked`;
    const about = { target: FailureTarget.LVOL, targetid: member.dextid };
    await recordEvent(tx, { ...about, event: EventType.ABNORMAL, sentence }, context);
  }
};

/** The volume and the snapshots that are kept; nobody needs the members of one that is lost or on its way out. */
async function volumesConcerned(tx: Tx, params: UnaskedMembers): Promise<Map<number, VolumeRow>> {
  const volume = await findVolume(tx, params.lvolid);
  const snapshots = volume === undefined ? [] : await snapshotsOf(tx, volume.lvolid);
  const concerned =
    params.snapshot === undefined
      ? [...(volume === undefined ? [] : [volume]), ...snapshots.filter(isUsable)]
      : snapshots.filter(({ lvolid }) => lvolid === params.snapshot);
  return new Map(concerned.map((row) => [row.lvolid, row]));
}

/** @throws VasError EHOSTDOWN unless it is a snapshot's copy that was declared lost */
async function keepOrLose(
  tx: Tx,
  volume: VolumeRow,
  member: MemberRow,
  context: OperationContext,
): Promise<void> {
  const server = await findStorageServer(tx, member.ssvrid);
  const isDeclaredLost = server?.lost === 1 || member.lost === 1 || member.disk_priority === Priority.FAULTY;
  if (isSnapshot(volume) && isDeclaredLost) {
    await loseSnapshot(tx, volume, `the last copy of mirror ${showMirror(member.mirrorid)} is lost`, context);
    return;
  }
  const remedy = isSnapshot(volume) ? "bring it back, or delete the snapshot" : "bring it back";
  throw new VasError(
    "EHOSTDOWN",
    `storage server ${showStorageServer(member.ssvrid)} can't be asked and holds the last good copy of mirror ` +
      `${showMirror(member.mirrorid)} of ${nameVolume(volume)}; ${remedy}`,
  );
}
