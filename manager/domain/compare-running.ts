import { showExtent, showHeadServer, showMirror, showVolume } from "../../shared/ids.js";
import type { RunningVolume } from "../../shared/methods/agent-methods.js";
import { BindEvent, BindStatus, MemberStatus } from "../../shared/states.js";
import type { Difference } from "./difference.js";

export interface ServedMirror {
  readonly mirrorid: number;
  readonly version: number;
  /** The volume or snapshot that it is a part of. */
  readonly lvolid: number;
  readonly members: readonly { readonly dextid: number; readonly status: MemberStatus }[];
}

export interface ServedVolume {
  readonly lvolid: number;
  readonly epoch: number;
  readonly epoch_open: 0 | 1;
  readonly hsvrid: number | null;
  readonly bind_status: BindStatus;
  readonly bind_event: BindEvent;
  /** An attachment for maintenance has ended, and its head is being told. */
  readonly isLeaving?: boolean;
  /** Its own, and those of its snapshots. */
  readonly mirrors: readonly ServedMirror[];
  /** All of its snapshots; kept ones hold the content of their instant, and are neither just made nor deleted. */
  readonly snapshots: readonly { readonly lvolid: number; readonly isKept: boolean }[];
}

/** What the database has of a head server, in one instant. */
export interface HeadView {
  readonly hsvrid: number;
  /** Volumes that are bound to the head, and those that it names, by id. */
  readonly volumes: ReadonlyMap<number, ServedVolume>;
}

const kinds = [
  closedVolumes,
  missingVolumes,
  versionsAhead,
  wronglyCounted,
  wronglyLeftOut,
  missingSnapshots,
  strangeSnapshots,
];

/** Everything in which a head server contradicts the state. */
export function compareRunning(view: HeadView, running: readonly RunningVolume[]): Difference[] {
  return kinds.flatMap((differences) => differences(view, running));
}

/** A head runs what is attached to it, under the epoch that is open. */
export function closedVolumes(
  { hsvrid, volumes }: HeadView,
  running: readonly RunningVolume[],
): Difference[] {
  return running.flatMap(({ lvolid, epoch }) => {
    const volume = volumes.get(lvolid);
    const what = `${showHeadServer(hsvrid)} runs epoch ${epoch} of ${showVolume(lvolid)}, but`;
    if (volume === undefined) return [{ sentence: `${what} there is no such volume`, stamp: "" }];
    if (volume.bind_event !== BindEvent.NONE || volume.isLeaving === true) return [];
    const stamp = stampOf(volume);
    if (volume.hsvrid === null) return [{ sentence: `${what} it is attached nowhere`, stamp }];
    if (volume.hsvrid !== hsvrid)
      return [{ sentence: `${what} it is attached to ${showHeadServer(volume.hsvrid)}`, stamp }];
    if (volume.epoch !== epoch) return [{ sentence: `${what} it is at epoch ${volume.epoch}`, stamp }];
    return volume.epoch_open === 1 ? [] : [{ sentence: `${what} that epoch is closed`, stamp }];
  });
}

/** What is attached to a head is run by it. */
export function missingVolumes(
  { hsvrid, volumes }: HeadView,
  running: readonly RunningVolume[],
): Difference[] {
  const found = new Map(running.map(({ lvolid, epoch }) => [lvolid, epoch]));
  return [...volumes.values()].flatMap((volume) => {
    if (!isServedBy(volume, hsvrid) || found.get(volume.lvolid) === volume.epoch) return [];
    const sentence = `${showVolume(volume.lvolid)} is attached to ${showHeadServer(hsvrid)}, which does not run epoch ${volume.epoch} of it`;
    return [{ sentence, stamp: stampOf(volume) }];
  });
}

/** A head learns versions from the database, so that it can't be ahead of it (R1). */
export function versionsAhead(view: HeadView, running: readonly RunningVolume[]): Difference[] {
  return mirrorPairs(view, running).flatMap(({ volume, mirror, told }) => {
    if (told === undefined || told.version <= mirror.version) return [];
    const sentence = `${showMirror(mirror.mirrorid)} of ${showVolume(volume.lvolid)} is at version ${mirror.version}, but its head knows ${told.version}: is this an old backup?`;
    return [{ sentence, stamp: mirrorStamp(volume, mirror) }];
  });
}

/** A head reads only what is INSYNC, and has left all else before it acknowledged a write (D2): the gravest finding. */
export function wronglyCounted(view: HeadView, running: readonly RunningVolume[]): Difference[] {
  return mirrorPairs(view, running).flatMap(({ volume, mirror, told }) => {
    const insync = new Set(
      mirror.members.filter(({ status }) => status === MemberStatus.INSYNC).map(({ dextid }) => dextid),
    );
    return (told?.members ?? []).flatMap(({ dextid, state }) => {
      if (state !== "insync" || insync.has(dextid)) return [];
      const sentence = `${showHeadServer(view.hsvrid)} counts ${showExtent(dextid)} as in sync in ${showMirror(mirror.mirrorid)} of ${showVolume(volume.lvolid)}, which is not INSYNC in the database`;
      return [{ sentence, stamp: mirrorStamp(volume, mirror) }];
    });
  });
}

/** A write is acknowledged when all INSYNC members have it (D1): a head does not leave one out, unless it is about to say so. */
export function wronglyLeftOut(view: HeadView, running: readonly RunningVolume[]): Difference[] {
  return mirrorPairs(view, running).flatMap(({ volume, mirror, told }) => {
    const states = new Map(told?.members.map(({ dextid, state }) => [dextid, state]));
    return mirror.members.flatMap(({ dextid, status }) => {
      const state = states.get(dextid) ?? "unknown";
      if (status !== MemberStatus.INSYNC || ["insync", "joining", "failing"].includes(state)) return [];
      const sentence = `${showExtent(dextid)} is an INSYNC member of ${showMirror(mirror.mirrorid)} of ${showVolume(volume.lvolid)}, but to ${showHeadServer(view.hsvrid)} it is ${state}`;
      return [{ sentence, stamp: mirrorStamp(volume, mirror) }];
    });
  });
}

/** A head keeps up the snapshots of what it runs (R9). One that it has given up it is about to report. */
export function missingSnapshots(view: HeadView, running: readonly RunningVolume[]): Difference[] {
  return servedPairs(view, running).flatMap(({ volume, told }) =>
    volume.snapshots.flatMap(({ lvolid, isKept }) => {
      if (!isKept || told.snapshots.some((snapshot) => snapshot.lvolid === lvolid)) return [];
      const sentence = `${showVolume(lvolid)} is a valid snapshot of ${showVolume(volume.lvolid)}, but ${showHeadServer(view.hsvrid)} does not keep it`;
      return [{ sentence, stamp: stampOf(volume) }];
    }),
  );
}

/** A head has no snapshot that is not there: its space may be another's. */
export function strangeSnapshots(view: HeadView, running: readonly RunningVolume[]): Difference[] {
  return servedPairs(view, running).flatMap(({ volume, told }) =>
    told.snapshots.flatMap(({ lvolid, state }) => {
      if (state === "invalid" || volume.snapshots.some((snapshot) => snapshot.lvolid === lvolid)) return [];
      const sentence = `${showHeadServer(view.hsvrid)} keeps ${showVolume(lvolid)}, which is no snapshot of ${showVolume(volume.lvolid)}`;
      return [{ sentence, stamp: stampOf(volume) }];
    }),
  );
}

interface ServedPair {
  readonly volume: ServedVolume;
  readonly told: RunningVolume;
}

/** The volumes that a head serves as it should. */
function servedPairs({ hsvrid, volumes }: HeadView, running: readonly RunningVolume[]): ServedPair[] {
  return running.flatMap((told) => {
    const volume = volumes.get(told.lvolid);
    const isServed = volume !== undefined && isServedBy(volume, hsvrid) && volume.epoch === told.epoch;
    return isServed && told.state === "serving" ? [{ volume, told }] : [];
  });
}

/** Their mirrors, with what the head tells of each; without those of snapshots that are not kept, or given up by the head. */
function mirrorPairs(view: HeadView, running: readonly RunningVolume[]) {
  return servedPairs(view, running).flatMap(({ volume, told }) => {
    const byId = new Map(told.mirrors.map((mirror) => [mirror.mirrorid, mirror]));
    const active = new Set(
      told.snapshots.filter(({ state }) => state === "active").map(({ lvolid }) => lvolid),
    );
    const isShared = (lvolid: number): boolean =>
      lvolid === volume.lvolid ||
      (active.has(lvolid) &&
        volume.snapshots.some((snapshot) => snapshot.lvolid === lvolid && snapshot.isKept));
    return volume.mirrors
      .filter(({ lvolid }) => isShared(lvolid))
      .map((mirror) => ({ volume, mirror, told: byId.get(mirror.mirrorid) }));
  });
}

function isServedBy(volume: ServedVolume, hsvrid: number): boolean {
  return (
    volume.hsvrid === hsvrid &&
    volume.bind_status === BindStatus.BOUND &&
    volume.bind_event === BindEvent.NONE
  );
}

function stampOf({ epoch, epoch_open, bind_status, bind_event, hsvrid }: ServedVolume): string {
  return [epoch, epoch_open, bind_status, bind_event, hsvrid].join(" ");
}

function mirrorStamp(volume: ServedVolume, { version, members }: ServedMirror): string {
  const statuses = members.map(({ dextid, status }) => `${dextid}:${status}`);
  return [stampOf(volume), version, ...statuses].join(" ");
}
