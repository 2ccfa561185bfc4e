import { VasError } from "../../shared/errors.js";
import { showDisk, showExtent, showHeadServer, showStorageServer } from "../../shared/ids.js";
import { Evacuation, FailureTarget, Priority } from "../../shared/states.js";
import { findDisk, moveDisksOfServer, updateDisk } from "../store/disks.js";
import { EventType, recordEvent } from "../store/events.js";
import { findExtent } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import {
  findHeadServer,
  findStorageServer,
  updateHeadServer,
  updateStorageServer,
} from "../store/servers.js";
import { volumesOfHead } from "../store/volumes.js";
import { fenceVolume } from "./fence-volume.js";
import { loseExtents } from "./lose-extent.js";
import type { Operation, OperationContext } from "./operation.js";

interface Failure {
  readonly target: number;
  readonly targetid: number;
}

/**
 * A person or a monitor declares a thing lost. It is taken out of use in this transaction; what follows – fences,
 * replacements – is derived from the state by the reconcilers. Repeating it changes nothing.
 *
 * @throws VasError ENOENT if there is no such thing: a monitor must learn that it reported a wrong id.
 */
export const notifyFailure: Operation<Failure, 0> = async (tx, failure, context) => {
  switch (failure.target) {
    case FailureTarget.HSVR:
      await failHeadServer(tx, failure.targetid, context);
      break;
    case FailureTarget.SSVR:
      await failStorageServer(tx, failure.targetid, context);
      break;
    case FailureTarget.PDSK:
      await failDisk(tx, failure.targetid, context);
      break;
    case FailureTarget.LVOL:
      await failExtent(tx, failure.targetid, context);
      break;
    default:
      throw new VasError(
        "EINVAL",
        "target must be 1 (head server), 2 (storage server), 3 (physical disk) or 4 (disk extent)",
      );
  }
  return 0;
};

async function record(tx: Tx, failure: Failure, sentence: string, context: OperationContext): Promise<void> {
  await recordEvent(tx, { ...failure, event: EventType.ABNORMAL, sentence }, context);
}

async function failHeadServer(tx: Tx, hsvrid: number, context: OperationContext): Promise<void> {
  const head = await findHeadServer(tx, hsvrid);
  if (head === undefined)
    throw new VasError("ENOENT", `targetid: there is no head server ${showHeadServer(hsvrid)}`);
  const reason = `head server ${showHeadServer(hsvrid)} was reported as failed`;
  // One that is only silent is reported anew: from now on it is not brought back by being heard.
  if (head.priority !== Priority.OFFLINE || head.silent === 1) {
    await updateHeadServer(tx, hsvrid, { priority: Priority.OFFLINE, silent: 0 });
    await record(tx, { target: FailureTarget.HSVR, targetid: hsvrid }, reason, context);
  }
  for (const volume of await volumesOfHead(tx, hsvrid)) await fenceVolume(tx, { volume, reason }, context);
}

async function failStorageServer(tx: Tx, ssvrid: number, context: OperationContext): Promise<void> {
  const server = await findStorageServer(tx, ssvrid);
  if (server === undefined)
    throw new VasError("ENOENT", `targetid: there is no storage server ${showStorageServer(ssvrid)}`);
  // One that was shut down after it was lost is reported anew: it can be deleted then.
  if (server.lost === 1 && server.priority === Priority.OFFLINE) return;
  await updateStorageServer(tx, ssvrid, { priority: Priority.OFFLINE, lost: 1 });
  const { HIGH, LOW, EVACUATE, HALT, OFFLINE } = Priority;
  await moveDisksOfServer(tx, ssvrid, [HIGH, LOW, EVACUATE, HALT], OFFLINE);
  const sentence = `storage server ${showStorageServer(ssvrid)} was reported as failed`;
  await record(tx, { target: FailureTarget.SSVR, targetid: ssvrid }, sentence, context);
}

async function failDisk(tx: Tx, pdskid: number, context: OperationContext): Promise<void> {
  const disk = await findDisk(tx, pdskid);
  if (disk === undefined) throw new VasError("ENOENT", `targetid: there is no disk ${showDisk(pdskid)}`);
  if (disk.priority === Priority.FAULTY) return;
  // It never comes back, and what it held is replaced, not copied from it.
  await updateDisk(tx, pdskid, { priority: Priority.FAULTY, evacuating: Evacuation.NONE });
  await record(
    tx,
    { target: FailureTarget.PDSK, targetid: pdskid },
    `disk ${showDisk(pdskid)} was reported as failed`,
    context,
  );
}

async function failExtent(tx: Tx, dextid: number, context: OperationContext): Promise<void> {
  const extent = await findExtent(tx, dextid);
  if (extent === undefined)
    throw new VasError("ENOENT", `targetid: there is no disk extent ${showExtent(dextid)}`);
  if ((await loseExtents(tx, [dextid])).length === 0) return;
  const sentence = `disk extent ${showExtent(dextid)} was reported as failed`;
  await record(tx, { target: FailureTarget.LVOL, targetid: dextid }, sentence, context);
}
