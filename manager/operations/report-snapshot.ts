import { VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import type { SnapshotState } from "../../shared/methods/manager-methods.js";
import { EventStatus, FailureTarget } from "../../shared/states.js";
import { snapshotStatusName } from "../domain/snapshot-rules.js";
import { assertOpenEpoch } from "../domain/volume-rules.js";
import { EventType, recordEvent } from "../store/events.js";
import type { Tx } from "../store/open-store.js";
import { findVolume, markSnapshotLost, snapshotsOf, type VolumeRow } from "../store/volumes.js";
import type { Operation, OperationContext } from "./operation.js";

/** What a head may say of the snapshots of the volume whose open epoch it holds. */
interface EpochRef {
  readonly lvolid: number;
  readonly epoch: number;
}

async function openOrigin(tx: Tx, { lvolid, epoch }: EpochRef): Promise<VolumeRow> {
  const origin = await findVolume(tx, lvolid);
  if (origin === undefined) throw new VasError("ESTALE", `there is no volume ${showVolume(lvolid)}`);
  assertOpenEpoch(origin, epoch);
  return origin;
}

/**
 * A snapshot can't be kept any more: writes to its origin go on without it, once this has committed (R9).
 *
 * @throws VasError ESTALE if the epoch is closed, ENOENT if there is no such snapshot
 */
export const reportSnapshotFailure: Operation<
  EpochRef & { readonly snapshot_lvolid: number; readonly reason: string },
  0
> = async (tx, params, context) => {
  const origin = await openOrigin(tx, params);
  const snapshot = (await snapshotsOf(tx, origin.lvolid)).find(
    ({ lvolid }) => lvolid === params.snapshot_lvolid,
  );
  if (snapshot === undefined) {
    const which = showVolume(params.snapshot_lvolid);
    throw new VasError("ENOENT", `volume ${origin.lvolname} has no snapshot ${which}`);
  }
  await loseSnapshot(tx, snapshot, params.reason, context);
  return 0;
};

/** Part of an operation: the content of a snapshot is lost for good. */
export async function loseSnapshot(
  tx: Tx,
  snapshot: VolumeRow,
  reason: string,
  context: OperationContext,
): Promise<void> {
  if (!(await markSnapshotLost(tx, snapshot.lvolid))) return;
  await recordEvent(
    tx,
    {
      target: FailureTarget.LVOL,
      targetid: snapshot.lvolid,
      event: EventType.ABNORMAL,
      event_status: EventStatus.ERROR,
      sentence: `snapshot ${snapshot.lvolname} is INVALID, its origin goes on: ${reason}`,
    },
    context,
  );
}

/** The snapshots of a volume, for the head that is about to serve it again. @throws VasError ESTALE */
export const getSnapshots: Operation<EpochRef, SnapshotState[]> = async (tx, params) => {
  const origin = await openOrigin(tx, params);
  return (await snapshotsOf(tx, origin.lvolid)).map((snapshot) => ({
    snapshot_lvolid: snapshot.lvolid,
    snapshot_status: snapshot.snapshot_lost === 1 ? "INVALID" : snapshotStatusName(snapshot),
  }));
};
