import { isDeepStrictEqual } from "node:util";
import type { AgentAddress } from "../../shared/agent-address.js";
import { showDisk, showExtent } from "../../shared/ids.js";
import type { GrantedExtent } from "../../shared/methods/agent-methods.js";
import { BindEvent, BindStatus, FailureTarget, MemberStatus } from "../../shared/states.js";
import { extentPlace, GIB, type Gigabytes, REGION_BYTES } from "../../shared/units.js";
import { isDeclaredLost, isUp } from "../domain/member-rules.js";
import { isSnapshot } from "../domain/snapshot-rules.js";
import {
  allDifferences,
  type DifferenceRow,
  mirrorToCompare,
  putComparison,
  putDifference,
  volumesToCompare,
} from "../store/comparisons.js";
import { EventType, recordEvent } from "../store/events.js";
import { type MemberRow, membersOfMirror } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { addressesOf, findHeadServer, lostStorageServers } from "../store/servers.js";
import { attachmentOf, findMirror, findVolume, type MirrorRow } from "../store/volumes.js";
import { absentCopies } from "./absent-copies.js";
import type { Operation } from "./operation.js";
import { storageAgent } from "./read-attachment.js";

/** A copy that is asked for checksums. */
export interface ComparedCopy extends GrantedExtent {
  readonly agent: AgentAddress;
}

/** One gigabyte of a mirror whose copies are to be compared. */
export interface ComparisonPlan {
  readonly mirrorid: number;
  readonly gigabyte: Gigabytes;
  readonly copies: readonly ComparedCopy[];
  /** The head that has the volume, and under which epoch. */
  readonly head: AgentAddress;
  readonly lvolid: number;
  readonly epoch: number;
}

/** Volumes that are looked at, in case copies of the first ones are away. */
const CANDIDATES = 16;

/**
 * A volume that no user has attached, whose copies are due to be compared: a head can do so. Not one with copies that can't be
 * asked now: to compare is no reason to do without them.
 *
 * @param params.except those for which that took too long.
 * @returns its id; undefined if there is none.
 */
export const nextDetachedToCompare: Operation<
  { readonly except: ReadonlySet<number> },
  number | undefined
> = async (tx, { except }, { now, settings }) => {
  const due = { since: now - settings.compare_interval * 1000, now };
  const candidates = await volumesToCompare(tx, due, CANDIDATES + except.size);
  for (const lvolid of candidates.filter((id) => !except.has(id)))
    if ((await absentCopies(tx, lvolid)).length === 0) return lvolid;
  return undefined;
};

/** @returns undefined if nothing is due. */
export const nextComparison: Operation<
  { readonly except: readonly number[] },
  ComparisonPlan | undefined
> = async (tx, { except }, { now, settings }) => {
  const due = await mirrorToCompare(tx, { since: now - settings.compare_interval * 1000, now, except });
  return due && planComparison(tx, due.mirrorid, due.position);
};

/** Whether the volume is attached as it was, and its copies are those that they were, when this was planned. */
export const isStillAsPlanned: Operation<{ readonly plan: ComparisonPlan }, boolean> = async (tx, { plan }) =>
  isDeepStrictEqual(await planComparison(tx, plan.mirrorid, plan.gigabyte), plan);

/** @returns undefined unless a head has the mirror, and keeps it */
async function planComparison(
  tx: Tx,
  mirrorid: number,
  gigabyte: Gigabytes,
): Promise<ComparisonPlan | undefined> {
  const mirror = await findMirror(tx, mirrorid);
  const owner = mirror && (await findVolume(tx, mirror.lvolid));
  if (owner === undefined) return undefined;
  const { lvolid, epoch, hsvrid, bind_status, bind_event } = await attachmentOf(tx, owner);
  const isServed = bind_status === BindStatus.BOUND && bind_event === BindEvent.NONE;
  const head = hsvrid === null || !isServed ? undefined : await findHeadServer(tx, hsvrid);
  if (head === undefined) return undefined;
  const address = { addresses: await addressesOf(tx, "head", head.hsvrid), port: head.port };
  return { mirrorid, gigabyte, copies: await comparableCopies(tx, mirrorid), head: address, lvolid, epoch };
}

async function comparableCopies(tx: Tx, mirrorid: number): Promise<ComparedCopy[]> {
  const lost = await lostStorageServers(tx);
  const copies: ComparedCopy[] = [];
  for (const member of await membersOfMirror(tx, mirrorid)) {
    const isThere = isUp(member.disk_priority) && !isDeclaredLost(member, lost);
    if (!isThere || member.status !== MemberStatus.INSYNC) continue;
    const { dextid, pdskid, offset, length: capacity, generation, ssvrid } = member;
    copies.push({ dextid, pdskid, offset, capacity, generation, agent: await storageAgent(tx, ssvrid) });
  }
  return copies;
}

/** What was found in one gigabyte of a mirror. */
export interface ComparedGigabyte {
  readonly mirrorid: number;
  readonly gigabyte: Gigabytes;
  /** As the head tells them: regions by their number in the mirror. */
  readonly differences: readonly {
    readonly region: number;
    readonly byte: number;
    readonly copies: readonly (readonly number[])[];
  }[];
}

/** Remembers what was found, and that this gigabyte was compared; what was not known is an event. */
export const recordComparison: Operation<ComparedGigabyte, void> = async (tx, compared, context) => {
  const { mirrorid, gigabyte, differences } = compared;
  const mirror = await findMirror(tx, mirrorid);
  if (mirror === undefined) return;
  const [first] = differences;
  const found = first && {
    mirrorid,
    gigabyte,
    regions: differences.length,
    byte: first.region * REGION_BYTES + first.byte,
    copies: JSON.stringify(first.copies),
  };
  const before = await putDifference(tx, { mirrorid, gigabyte }, found);
  if (found !== undefined && (before?.byte !== found.byte || before.copies !== found.copies)) {
    const target = { target: FailureTarget.LVOL, targetid: copiesOf(found)[0]?.[0] ?? mirrorid };
    const sentence = await describe(tx, mirror, found);
    await recordEvent(tx, { ...target, event: EventType.ABNORMAL, sentence }, context);
  }
  const position = (gigabyte + 1) % mirror.length;
  await putComparison(tx, { mirrorid, position }, position === 0 ? context.now : undefined);
};

/** Part of an operation: a sentence for each gigabyte whose copies differ, unless one of them was replaced since. */
export async function describeDifferences(tx: Tx): Promise<string[]> {
  const sentences: string[] = [];
  for (const difference of await allDifferences(tx)) {
    const mirror = await findMirror(tx, difference.mirrorid);
    const present = new Set((await goodMembers(tx, difference.mirrorid)).map(({ dextid }) => dextid));
    if (
      mirror === undefined ||
      !copiesOf(difference)
        .flat()
        .every((dextid) => present.has(dextid))
    )
      continue;
    sentences.push(await describe(tx, mirror, difference));
  }
  return sentences;
}

async function goodMembers(tx: Tx, mirrorid: number): Promise<MemberRow[]> {
  const members = await membersOfMirror(tx, mirrorid);
  return members.filter(({ status, lost }) => status === MemberStatus.INSYNC && lost === 0);
}

async function describe(tx: Tx, mirror: MirrorRow, difference: DifferenceRow): Promise<string> {
  const owner = await findVolume(tx, mirror.lvolid);
  const name = owner?.lvolname ?? "";
  const place = mirror.offset * GIB + difference.byte;
  const where =
    owner !== undefined && isSnapshot(owner)
      ? `the copies of the space of snapshot ${name} differ at byte ${place} of it`
      : `the copies of volume ${name} differ at byte ${place}`;
  const more = difference.regions > 1 ? `, and in ${difference.regions - 1} more regions of that GB` : "";
  const members = await membersOfMirror(tx, mirror.mirrorid);
  const groups = copiesOf(difference).map((group) =>
    group.map((dextid) => describeCopy(members, dextid, difference.byte)).join(" and "),
  );
  return `${where}${more}: ${groups.join(" is not equal to ")}; find out which is right, and report each that is wrong (notifyFailure, target 4 and its id): it is made anew from the others`;
}

function describeCopy(members: readonly MemberRow[], dextid: number, byte: number): string {
  const member = members.find((candidate) => candidate.dextid === dextid);
  if (member === undefined) return showExtent(dextid);
  const { dataStart } = extentPlace(member.offset, member.length);
  return `${showExtent(dextid)} (byte ${dataStart + byte} of ${showDisk(member.pdskid)})`;
}

function copiesOf({ copies }: Pick<DifferenceRow, "copies">): number[][] {
  return JSON.parse(copies);
}
