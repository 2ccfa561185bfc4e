import { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, SnapshotStatus } from "../../shared/states.js";
import { type Binding, nameSome, nameVolume } from "./volume-rules.js";

/** Pure rules about snapshots and the volumes that they were taken of. */
export interface Snapshot {
  readonly lvolid: number;
  readonly lvolname: string;
  readonly origin_lvolid: number | null;
  readonly snapshot_status: SnapshotStatus;
  readonly snapshot_lost: 0 | 1;
}

export function isSnapshot(volume: Snapshot): boolean {
  return volume.origin_lvolid !== null;
}

/** It holds the content of its instant: a head serves it, and keeps it up. */
export function isUsable(snapshot: Snapshot): boolean {
  return snapshot.snapshot_status === SnapshotStatus.READY && snapshot.snapshot_lost === 0;
}

/** As the wire spells it; empty for a volume that is no snapshot. */
export function snapshotStatusName(volume: Snapshot): string {
  switch (volume.snapshot_status) {
    case SnapshotStatus.NONE:
      return "";
    case SnapshotStatus.CREATING:
      return "CREATING";
    case SnapshotStatus.DELETING:
      return "DELETING";
    case SnapshotStatus.READY:
      return volume.snapshot_lost === 1 ? "INVALID" : "VALID";
  }
}

/** @throws VasError EINVAL if the volume is a snapshot: it follows its origin */
export function assertNoSnapshot(volume: Snapshot, what: string): void {
  if (!isSnapshot(volume)) return;
  throw new VasError("EINVAL", `${nameVolume(volume)} is a snapshot: it ${what}`);
}

/**
 * @returns true if the volume is attached, so that its head must take the snapshot.
 * @throws VasError EAGAIN while it is being attached or detached, or after a failed attach
 */
export function needsHead(origin: Binding): boolean {
  if (origin.bind_event !== BindEvent.NONE)
    throw new VasError("EAGAIN", `${nameVolume(origin)} is being attached or detached; try again`);
  if (origin.bind_status === BindStatus.ERROR)
    throw new VasError("EAGAIN", `${nameVolume(origin)} had a failed attach; detach it first`);
  return origin.bind_status === BindStatus.BOUND;
}

/** @throws VasError EAGAIN while a snapshot of the volume is being created or deleted */
export function assertSnapshotsAtRest(origin: Binding, snapshots: readonly Snapshot[]): void {
  const busy = snapshots.find(({ snapshot_status }) => snapshot_status !== SnapshotStatus.READY);
  if (busy === undefined) return;
  const what = busy.snapshot_status === SnapshotStatus.CREATING ? "created" : "deleted";
  throw new VasError(
    "EAGAIN",
    `snapshot ${busy.lvolname} of ${nameVolume(origin)} is being ${what}; try again`,
  );
}

/** @throws VasError EBUSY */
export function assertNoSnapshots(volume: Binding, snapshots: readonly Snapshot[]): void {
  if (snapshots.length === 0) return;
  const names = nameSome(snapshots.map(({ lvolname }) => lvolname));
  throw new VasError("EBUSY", `${nameVolume(volume)} has snapshots: ${names}; delete them first`);
}
