import { showDisk, showExtent, showStorageServer, showVolume } from "../../shared/ids.js";
import type { KnownGeneration, StorageHoldings } from "../../shared/methods/agent-methods.js";
import { BindEvent, BindStatus, MemberStatus, Priority, priorityName } from "../../shared/states.js";
import { generationsAhead, writtenFreeSpace } from "./compare-space.js";
import type { Difference } from "./difference.js";
import { isUp } from "./member-rules.js";

/** What a storage server answered. */
export interface Holdings extends Pick<StorageHoldings, "disks" | "grants"> {
  readonly runs: readonly KnownGeneration[];
}

export interface HeldDisk {
  readonly pdskid: number;
  readonly capacity: number;
  readonly priority: Priority;
  readonly generation: number;
}

/** An extent on a disk of the server. */
export interface HeldExtent {
  readonly dextid: number;
  readonly pdskid: number;
  readonly offset: number;
  readonly length: number;
  readonly generation: number;
  readonly status: MemberStatus;
  /** The volume whose attachment it belongs to, or, if it waits for its shred, whose grant may still name it; null if none. */
  readonly lvolid: number | null;
  /** It belongs to the volume itself, or to a snapshot that is kept: not to one that is lost, or just made or deleted. */
  readonly isKept: boolean;
}

export interface HeldVolume {
  readonly lvolid: number;
  readonly epoch: number;
  readonly epoch_open: 0 | 1;
  readonly grant_version: number;
  readonly bind_status: BindStatus;
  readonly bind_event: BindEvent;
  /** An attachment for maintenance has ended, and those concerned are being told. */
  readonly isLeaving?: boolean;
}

/** What the database has of a storage server, in one instant. Maps are by id. */
export interface StorageView {
  readonly ssvrid: number;
  readonly disks: ReadonlyMap<number, HeldDisk>;
  /** Servers of disks that the server names and that are not its own. */
  readonly elsewhere: ReadonlyMap<number, number>;
  /** The first id that no disk was given yet. */
  readonly nextPdskid: number;
  readonly extents: ReadonlyMap<number, HeldExtent>;
  /** Clean space, by disk and place. */
  readonly free: readonly Pick<HeldExtent, "pdskid" | "offset" | "length">[];
  /** Volumes with an extent on the server, and those that it names. */
  readonly volumes: ReadonlyMap<number, HeldVolume>;
  /** Highest epoch of a volume that the server is still to be asked to revoke. */
  readonly unrevoked: ReadonlyMap<number, number>;
}

type Grant = Holdings["grants"][number];

const kinds = [
  unservedDisks,
  strangeDisks,
  strangeGrants,
  closedGrants,
  missingGrants,
  misplacedGrants,
  (view: StorageView, { runs }: Holdings) => generationsAhead(view, runs),
  (view: StorageView, { runs }: Holdings) => writtenFreeSpace(view, runs),
];

/** Everything in which a storage server contradicts the state. */
export function compareHoldings(view: StorageView, holdings: Holdings): Difference[] {
  return kinds.flatMap((differences) => differences(view, holdings));
}

/** A disk that is in use is served, in its full length. */
export function unservedDisks({ ssvrid, disks }: StorageView, holdings: Holdings): Difference[] {
  const byId = new Map(holdings.disks.map((disk) => [disk.pdskid, disk]));
  return [...disks.values()].flatMap(({ pdskid, capacity, priority }) => {
    if (!isUp(priority)) return [];
    const found = byId.get(pdskid);
    const what = `${showDisk(pdskid)} is in use, but ${showStorageServer(ssvrid)}`;
    const stamp = `${priority} ${capacity}`;
    if (found === undefined) return [{ sentence: `${what} has no such disk`, stamp }];
    if (!found.served) return [{ sentence: `${what} does not serve it: ${found.why}`, stamp }];
    if (found.capacity >= capacity) return [];
    return [{ sentence: `${what} serves ${found.capacity} GB of its ${capacity} GB`, stamp }];
  });
}

/** A disk that is served is one of the server's, and not out of use. A failed one may be: nobody uses it. */
export function strangeDisks(view: StorageView, holdings: Holdings): Difference[] {
  const what = `${showStorageServer(view.ssvrid)} serves`;
  return servedDisks(holdings).flatMap((pdskid) => {
    const disk = view.disks.get(pdskid);
    const other = view.elsewhere.get(pdskid);
    if (disk?.priority === Priority.OFFLINE || disk?.priority === Priority.HALT)
      return [
        {
          sentence: `${what} ${showDisk(pdskid)}, which is ${priorityName(disk.priority)}`,
          stamp: `${disk.priority}`,
        },
      ];
    if (disk !== undefined) return [];
    if (other !== undefined)
      return [
        { sentence: `${what} ${showDisk(pdskid)}, which belongs to ${showStorageServer(other)}`, stamp: "" },
      ];
    if (pdskid < view.nextPdskid) return [];
    return [
      {
        sentence: `${what} ${showDisk(pdskid)}, an id that was never given: is this an old backup?`,
        stamp: "",
      },
    ];
  });
}

/** Disks that were deleted, of which their server hears at its next registration: no difference, but to be known. */
export function deletedDisks(view: StorageView, holdings: Holdings): number[] {
  return servedDisks(holdings).filter(
    (pdskid) => !view.disks.has(pdskid) && !view.elsewhere.has(pdskid) && pdskid < view.nextPdskid,
  );
}

function servedDisks({ disks }: Holdings): number[] {
  return disks.filter(({ served }) => served).map(({ pdskid }) => pdskid);
}

/** A grant is of a volume that there is, or was, and of an epoch that there was: a lost commit shows here. */
export function strangeGrants(view: StorageView, { grants }: Holdings): Difference[] {
  return grants.flatMap(({ lvolid, epoch }) => {
    const volume = view.volumes.get(lvolid);
    if (volume === undefined || epoch <= volume.epoch) return [];
    const sentence = `${showStorageServer(view.ssvrid)} knows epoch ${epoch} of ${showVolume(lvolid)}, which is at ${volume.epoch}: is this an old backup?`;
    return [{ sentence, stamp: stampOf(volume) }];
  });
}

/**
 * A closed epoch may write nothing that is, or will be, in use (D4). It may for a while where its server could not be asked to
 * revoke it, which is noted and made good; in a failed attach, until that is detached; and what was given up is taken back
 * before its shred.
 */
export function closedGrants(view: StorageView, { grants }: Holdings): Difference[] {
  return grants.flatMap((grant) => {
    const { lvolid, epoch } = grant;
    const volume = view.volumes.get(lvolid);
    if (volume !== undefined && (!isAtRest(volume) || !isClosed(volume, epoch))) return [];
    if (volume?.isLeaving === true) return [];
    if (volume?.bind_status === BindStatus.ERROR && epoch === volume.epoch) return [];
    if (epoch <= (view.unrevoked.get(lvolid) ?? -1)) return [];
    const used = grant.extents.filter(
      ({ dextid, pdskid }) => view.disks.has(pdskid) && !isGivenUp(view.extents.get(dextid), lvolid),
    );
    const [first] = used;
    if (first === undefined) return [];
    const why = volume === undefined ? "there is no such volume" : "that epoch is closed";
    const what = `${showExtent(first.dextid)}${used.length === 1 ? "" : ` and ${used.length - 1} more`}`;
    const sentence = `${showStorageServer(view.ssvrid)} lets epoch ${epoch} of ${showVolume(lvolid)} write ${what}, but ${why}`;
    return [{ sentence, stamp: volume === undefined ? "" : stampOf(volume) }];
  });
}

/** The epoch of an attached volume may write all INSYNC members: else it would have lost them, and they it. */
export function missingGrants(view: StorageView, { grants }: Holdings): Difference[] {
  const granted = new Map(grants.map((grant) => [grant.lvolid, { grant, dextids: dextidsOf(grant) }]));
  return [...view.extents.values()].flatMap((extent) => {
    const { dextid, lvolid, status, isKept } = extent;
    const volume = lvolid === null ? undefined : view.volumes.get(lvolid);
    if (status !== MemberStatus.INSYNC || !isKept || volume === undefined) return [];
    if (volume.bind_status !== BindStatus.BOUND || !isAtRest(volume)) return [];
    const held = granted.get(volume.lvolid);
    if (held?.grant.epoch === volume.epoch && held.dextids.has(dextid)) return [];
    const sentence = `${showExtent(dextid)} is an INSYNC member of ${showVolume(volume.lvolid)}, which is attached, but ${showStorageServer(view.ssvrid)} does not let epoch ${volume.epoch} use it`;
    return [{ sentence, stamp: `${stampOf(volume)} ${extentStamp(extent)}` }];
  });
}

function dextidsOf({ extents }: Grant): ReadonlySet<number> {
  return new Set(extents.map(({ dextid }) => dextid));
}

/** The open epoch may write members of its volume only, each in its place; besides what was given up a moment ago. */
export function misplacedGrants(view: StorageView, { grants }: Holdings): Difference[] {
  return grants.flatMap((grant) => {
    const volume = view.volumes.get(grant.lvolid);
    if (volume === undefined || !isAtRest(volume) || isClosed(volume, grant.epoch)) return [];
    return grant.extents.flatMap((granted) => {
      const extent = view.extents.get(granted.dextid);
      if (!view.disks.has(granted.pdskid) || isGivenUp(extent, grant.lvolid)) return [];
      const why = misplaced(granted, extent, grant.lvolid);
      if (why === undefined) return [];
      const sentence = `${showStorageServer(view.ssvrid)} lets ${showVolume(grant.lvolid)} write ${showExtent(granted.dextid)} at ${granted.offset} GB of ${showDisk(granted.pdskid)}, ${why}`;
      return [{ sentence, stamp: `${stampOf(volume)} ${extentStamp(extent)}` }];
    });
  });
}

function misplaced(
  granted: Grant["extents"][number],
  extent: HeldExtent | undefined,
  lvolid: number,
): string | undefined {
  if (extent === undefined) return "which the server does not have";
  if (extent.lvolid !== lvolid || extent.status === MemberStatus.NEEDSHRED)
    return "which is not the volume's";
  if (extent.status === MemberStatus.ALLOCATED) return "which was never attached";
  const { pdskid, offset, length } = extent;
  const isThere = granted.pdskid === pdskid && granted.offset === offset && granted.capacity === length;
  if (!isThere) return `which is ${length} GB at ${offset} GB of ${showDisk(pdskid)}`;
  if (granted.generation === extent.generation) return undefined;
  return `under generation ${granted.generation}, but it has ${extent.generation}`;
}

/** Nobody counts on it, and its grant is taken back before it is shredded. */
function isGivenUp(extent: HeldExtent | undefined, lvolid: number): boolean {
  const isOut = extent?.status === MemberStatus.NEEDSHRED || extent?.status === MemberStatus.FAULTY;
  return isOut && extent.lvolid === lvolid;
}

/** No job attaches, detaches or fences it, so that what it is granted should be what it is to be granted. */
function isAtRest({ bind_event }: HeldVolume): boolean {
  return bind_event === BindEvent.NONE;
}

function isClosed(volume: HeldVolume, epoch: number): boolean {
  return epoch < volume.epoch || (epoch === volume.epoch && volume.epoch_open === 0);
}

function stampOf({ epoch, epoch_open, grant_version, bind_status, bind_event }: HeldVolume): string {
  return [epoch, epoch_open, grant_version, bind_status, bind_event].join(" ");
}

function extentStamp(extent: HeldExtent | undefined): string {
  return extent === undefined ? "none" : [extent.status, extent.generation, extent.lvolid].join(" ");
}
