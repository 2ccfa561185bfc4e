import { VasError } from "../../shared/errors.js";
import { showDisk, showExtent, showMirror } from "../../shared/ids.js";
import {
  BindEvent,
  BindStatus,
  FailureTarget,
  JobStatus,
  MemberStatus,
  Priority,
} from "../../shared/states.js";
import { isSoundInSync, surplusMembers } from "../domain/evacuation-rules.js";
import { type HealingMember, planHealing } from "../domain/heal-mirror.js";
import { describeMember } from "../domain/job-descriptions.js";
import { isLive, isUp } from "../domain/member-rules.js";
import { isSnapshot, isUsable } from "../domain/snapshot-rules.js";
import { planReplacement } from "../layout/plan-replacement.js";
import { raiseGeneration } from "../store/disks.js";
import { EventType, recordEvent } from "../store/events.js";
import {
  insertExtents,
  type MemberRow,
  membersOfMirror,
  moveMember,
  waitsForShred,
} from "../store/extents.js";
import { takeRange } from "../store/free-ranges.js";
import { cancelOpenJobs, insertJob, type JobRow, openJobsOf } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { takeIds } from "../store/sequences.js";
import { allStorageServers, type StorageServerRow } from "../store/servers.js";
import { heldResyncs } from "../store/steered-jobs.js";
import {
  attachmentOf,
  clearShort,
  findMirror,
  findVolume,
  type MirrorRow,
  raiseGrantVersion,
  raiseMirrorVersion,
  setSurplus,
  type VolumeRow,
} from "../store/volumes.js";
import { dismissMember } from "./dismiss-member.js";
import type { Operation, OperationContext } from "./operation.js";
import { placementCandidates } from "./placement-candidates.js";

/** Failed resyncs, while its server answered, after which a member is replaced elsewhere. */
const MAX_RESYNC_FAILURES = 3;

export interface HealingRequest {
  readonly mirrorid: number;
  /** Servers that have been silent for `replace_after`; empty while the brake is on. */
  readonly silentTooLong: ReadonlySet<number>;
  /** Wishes for which there was no room a moment ago: not looked for again in the same round. */
  readonly noRoomFor?: ReadonlySet<string>;
}

/** What was done, and what could not be: `noRoom` is the sentence of ENOSPC. */
export interface HealingResult {
  readonly changed: boolean;
  readonly noRoom: string | undefined;
  /** What there was no room for, as it goes into `noRoomFor`. */
  readonly wish: string;
  /** The volume whose attachment the mirror belongs to, if no user has it, and a head could bring copies in sync. */
  readonly wantsHead: number | undefined;
}

/**
 * Gives a mirror what it lacks, as far as that is possible now. What can't be done – no room, a volume that is
 * detached – is found again at the next round.
 */
export const healMirror: Operation<HealingRequest, HealingResult> = async (tx, request, context) => {
  const mirror = await findMirror(tx, request.mirrorid);
  const volume = mirror && (await findVolume(tx, mirror.lvolid));
  const nothing = { changed: false, noRoom: undefined, wish: "", wantsHead: undefined };
  if (mirror === undefined || volume === undefined) return nothing;
  if (isSnapshot(volume) && !isUsable(volume)) return nothing;
  const attachment = await attachmentOf(tx, volume);
  const servers = new Map((await allStorageServers(tx)).map((server) => [server.ssvrid, server]));
  const members = await membersOfMirror(tx, mirror.mirrorid);
  const byId = new Map(members.map((member) => [member.dextid, member]));
  const bound = attachment.bind_status === BindStatus.BOUND && attachment.bind_event === BindEvent.NONE;
  const untouched = members.every(({ status }) => status === MemberStatus.ALLOCATED);
  const resyncs = bound ? await openJobsOf(tx, "resync", [...byId.keys()]) : new Map<number, JobRow>();
  const plan = planHealing({
    redundancy: volume.redundancy,
    bound: attachment.hsvrid !== null,
    untouched,
    members: members.map((member) => ({
      ...assess(member, servers.get(member.ssvrid), request.silentTooLong),
      resyncing: resyncs.get(member.dextid)?.status === JobStatus.RUNNING,
    })),
  });

  const rows = (ids: readonly number[]): MemberRow[] => ids.flatMap((id) => byId.get(id) ?? []);
  const status = untouched ? MemberStatus.ALLOCATED : MemberStatus.SPARE;
  const givenUpNow = new Set(plan.giveUp);
  const placement = { volume, mirror, members, givenUp: givenUpNow, count: plan.place, servers, status };
  const wish = describeWish(mirror, members);
  const isKnownRoomless = request.noRoomFor?.has(wish) === true;
  const { placed, noRoom } = isKnownRoomless
    ? { placed: 0, noRoom: undefined }
    : await placeMembers(tx, placement, context);
  const lacksRoom = isKnownRoomless || noRoom !== undefined;
  // One at a time: the space of one before it may be room enough.
  const inTheWay = lacksRoom && !(await waitsForShred(tx, attachment.lvolid)) ? rows(plan.inTheWay) : [];
  // Members that hold nothing go only when another took their place: the redundancy must not shrink for good.
  for (const member of rows(plan.forget).slice(0, placed)) await dismissMember(tx, member, attachment.lvolid);
  for (const member of rows(plan.drop)) {
    await moveMember(tx, member.dextid, MemberStatus.INSYNC, MemberStatus.FAULTY);
  }
  // A member that may still be good again is given up only when others have taken all places.
  const isFull = placed >= plan.missing;
  const isSpare = ({ status }: MemberRow): boolean => status === MemberStatus.SPARE;
  const givenUp = [
    ...rows(plan.giveUp),
    ...(isFull ? rows(plan.giveUpIfPlaced) : []),
    ...inTheWay.filter(isSpare),
  ];
  for (const member of givenUp) {
    await cancelOpenJobs(tx, ["resync"], member.dextid, {
      now: context.now,
      result: "ECANCELED",
      last_error: "the member was given up",
    });
    await moveMember(tx, member.dextid, MemberStatus.SPARE, MemberStatus.FAULTY);
  }
  const releases = [...rows(plan.release), ...inTheWay];
  for (const member of releases) {
    const released = isSpare(member) ? { ...member, status: MemberStatus.FAULTY } : member;
    await dismissMember(tx, released, attachment.lvolid);
  }

  const changed = placed + plan.drop.length + givenUp.length + releases.length > 0;
  if (changed) {
    await raiseMirrorVersion(tx, mirror.mirrorid);
    await raiseGrantVersion(tx, attachment.lvolid);
  }
  await noteRedundancy(tx, mirror, volume.redundancy, placed > 0);
  const held = await heldResyncs(tx, plan.resync, context.now - context.settings.cancel_hold * 1_000);
  const possible = rows(plan.resync).filter(
    (member) => !givenUp.includes(member) && !held.has(member.dextid),
  );
  const wanted = bound ? toBegin(members, possible, resyncs, placed > 0) : [];
  const surplus = surplusMembers(members.filter(isSoundInSync), volume.redundancy);
  const reason = surplus.length > 0 ? "to do without one that is not needed" : "to do without a lost copy";
  await beginResyncs(tx, { volume, members: wanted, reason }, context);
  const isFree = attachment.hsvrid === null || attachment.maintenance === 1;
  const wantsHead = isFree && possible.length > 0 ? attachment.lvolid : undefined;
  return { changed: changed || wanted.length > 0, noRoom, wish, wantsHead };
};

/** Mirrors of one length on the same disks ask for the same: where there is room for another member. */
function describeWish({ length }: MirrorRow, members: readonly MemberRow[]): string {
  return `${length} GB beside ${members.map(({ pdskid }) => pdskid).sort((a, b) => a - b)}`;
}

/**
 * Those that have no job yet. Of a mirror's INSYNC members one has a job at a time: they stand for the same work. None has one
 * beside members that were just placed, since the resyncs of these may do that work.
 */
function toBegin(
  members: readonly MemberRow[],
  wanted: readonly MemberRow[],
  resyncs: ReadonlyMap<number, JobRow>,
  hasPlaced: boolean,
): MemberRow[] {
  const isInSync = ({ status }: MemberRow): boolean => status === MemberStatus.INSYNC;
  const mayLetGo = !hasPlaced && !members.some((member) => isInSync(member) && resyncs.has(member.dextid));
  return wanted.filter((member) => !resyncs.has(member.dextid) && (mayLetGo || !isInSync(member)));
}

/**
 * What was taken from the mirror without a replacement has been replaced, or it has no more members than it should: it is
 * found by its members alone again. One that is given a member beside as many as it should have is marked.
 */
async function noteRedundancy(
  tx: Tx,
  { mirrorid, short, surplus }: MirrorRow,
  redundancy: number,
  hasPlaced: boolean,
): Promise<void> {
  if (short === 0 && surplus === 0 && !hasPlaced) return;
  const { length: live } = (await membersOfMirror(tx, mirrorid)).filter(isLive);
  if (short === 1 && live >= redundancy) await clearShort(tx, mirrorid);
  await setSurplus(tx, mirrorid, live > redundancy ? 1 : 0);
}

function assess(
  member: MemberRow,
  server: StorageServerRow | undefined,
  silentTooLong: ReadonlySet<number>,
): Omit<HealingMember, "resyncing"> {
  const serverUp = server !== undefined && isUp(server.priority);
  const diskUp = isUp(member.disk_priority);
  // One that was shut down is not silent, whatever was known of it when the round began.
  const isSilent = server?.priority !== Priority.HALT && silentTooLong.has(member.ssvrid);
  const notHeard = isSilent || member.failures >= MAX_RESYNC_FAILURES ? "silent" : "no";
  const isAway = server?.lost === 1 ? "away" : notHeard;
  return {
    dextid: member.dextid,
    ssvrid: member.ssvrid,
    status: member.status,
    reachable: serverUp && diskUp,
    readable: serverUp && (diskUp || member.disk_priority === Priority.FAULTY),
    evacuating: member.evacuating === 1,
    lost: member.disk_priority === Priority.FAULTY ? "gone" : member.lost === 1 ? "failed" : isAway,
  };
}

interface Placement {
  readonly volume: VolumeRow;
  readonly mirror: MirrorRow;
  readonly members: readonly MemberRow[];
  readonly givenUp: ReadonlySet<number>;
  readonly count: number;
  readonly servers: ReadonlyMap<number, StorageServerRow>;
  /** What new members begin as. */
  readonly status: MemberStatus;
}

async function placeMembers(
  tx: Tx,
  placement: Placement,
  context: OperationContext,
): Promise<{ placed: number; noRoom: string | undefined }> {
  const { volume, mirror, members, givenUp, count, servers, status } = placement;
  // FAULTY members are no members any more as far as D6 is concerned: their server may hold the replacement.
  const taken = members
    .filter((member) => member.status !== MemberStatus.FAULTY && !givenUp.has(member.dextid))
    .map(({ ssvrid, evacuating }) => ({
      ssvrid,
      zone: evacuating === 1 ? undefined : (servers.get(ssvrid)?.zone ?? ""),
    }));
  const disks = new Set(members.map((member) => member.pdskid));
  for (let placed = 0; placed < count; placed += 1) {
    let place: ReturnType<typeof planReplacement>;
    try {
      const candidates = await placementCandidates(tx);
      place = planReplacement({ length: mirror.length, members: taken, disks, candidates });
    } catch (error) {
      if (error instanceof VasError && error.errno === "ENOSPC") return { placed, noRoom: error.sentence };
      throw error;
    }
    disks.add(place.pdskid);
    taken.push({ ssvrid: place.ssvrid, zone: servers.get(place.ssvrid)?.zone ?? "" });
    const [dextid = 0] = await takeIds(tx, "lvol", 1);
    const { pdskid, offset } = place;
    await takeRange(tx, pdskid, offset, mirror.length);
    const generation = await raiseGeneration(tx, pdskid);
    const { mirrorid, length } = mirror;
    await insertExtents(tx, [
      {
        dextid,
        pdskid,
        offset,
        length,
        generation,
        mirrorid,
        status,
        failures: 0,
        lost: 0,
        last_lvolid: null,
      },
    ]);
    const sentence = `mirror ${showMirror(mirrorid)} of volume ${volume.lvolname} gets a new member ${showExtent(dextid)} on ${showDisk(pdskid)}`;
    const about = { target: FailureTarget.LVOL, targetid: dextid };
    await recordEvent(tx, { ...about, event: EventType.ABNORMAL, sentence }, context);
  }
  return { placed: count, noRoom: undefined };
}

async function beginResyncs(
  tx: Tx,
  {
    volume,
    members,
    reason,
  }: { readonly volume: VolumeRow; readonly members: readonly MemberRow[]; readonly reason: string },
  context: OperationContext,
): Promise<void> {
  for (const member of members) {
    const what = describeMember(member, volume);
    await insertJob(tx, {
      kind: "resync",
      subject: member.dextid,
      payload: {},
      description: member.status === MemberStatus.INSYNC ? `${what}, ${reason}` : what,
      now: context.now,
    });
  }
}
