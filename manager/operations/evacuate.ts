import { VasError } from "../../shared/errors.js";
import { showDisk, showStorageServer } from "../../shared/ids.js";
import type { extensionMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { Evacuation, FailureTarget } from "../../shared/states.js";
import {
  assertMayEvacuate,
  isNothing,
  priorityOfDisk,
  priorityOfServer,
} from "../domain/evacuation-rules.js";
import { isUp } from "../domain/member-rules.js";
import { findDisk, updateDisk } from "../store/disks.js";
import { evacuatedDisks, evacuatedServers } from "../store/evacuations.js";
import { recordChange } from "../store/events.js";
import { findStorageServer, updateStorageServer } from "../store/servers.js";
import type { Operation } from "./operation.js";

const isWanted = ({ evacuating }: { readonly evacuating: Evacuation }): boolean =>
  evacuating !== Evacuation.NONE;

function sentenceOf(what: string, isEvacuating: boolean): string {
  return isEvacuating
    ? `${what} is to be evacuated: what is on it is copied elsewhere first`
    : `the evacuation of ${what} was cancelled`;
}

/**
 * Everything on a disk is wanted elsewhere, or not any more. What follows is derived from the state by the healing of
 * mirrors. Repeating it changes nothing.
 *
 * @throws VasError ENOENT, EBUSY
 */
export const evacuatePhysicalDisk: Operation<
  ParamsOf<typeof extensionMethods.evacuatePhysicalDisk>,
  0
> = async (tx, { pdskid, cancel = false }, context) => {
  const disk = await findDisk(tx, pdskid);
  if (disk === undefined) throw new VasError("ENOENT", `pdskid: there is no disk ${pdskid}`);
  const what = `disk ${showDisk(pdskid)}`;
  if (!cancel) assertMayEvacuate(what, disk.priority);
  if (isWanted(disk) !== cancel) return 0;
  const evacuating = cancel ? Evacuation.NONE : Evacuation.UNDER_WAY;
  const priority = isUp(disk.priority) ? priorityOfDisk({ ...disk, evacuating }) : disk.priority;
  await updateDisk(tx, pdskid, { evacuating, priority });
  const about = { target: FailureTarget.PDSK, targetid: pdskid };
  await recordChange(tx, { ...about, sentence: sentenceOf(what, !cancel) }, context);
  return 0;
};

/** The same for all disks of a storage server, those that it gets later as well. @throws VasError ENOENT */
export const evacuateStorageServer: Operation<
  ParamsOf<typeof extensionMethods.evacuateStorageServer>,
  0
> = async (tx, { ssvrid, cancel = false }, context) => {
  const server = await findStorageServer(tx, ssvrid);
  if (server === undefined) throw new VasError("ENOENT", `ssvrid: there is no storage server ${ssvrid}`);
  if (isWanted(server) !== cancel) return 0;
  const evacuating = cancel ? Evacuation.NONE : Evacuation.UNDER_WAY;
  const priority = isUp(server.priority) ? priorityOfServer({ evacuating }) : server.priority;
  await updateStorageServer(tx, ssvrid, { evacuating, priority });
  const what = `storage server ${showStorageServer(ssvrid)}`;
  const about = { target: FailureTarget.SSVR, targetid: ssvrid };
  await recordChange(tx, { ...about, sentence: sentenceOf(what, !cancel) }, context);
  return 0;
};

/** Tells, once, of each disk and storage server on which nothing is left. @returns how many. */
export const recordEvacuated: Operation<Record<string, never>, number> = async (tx, _params, context) => {
  const isDone = (row: {
    readonly evacuating: Evacuation;
    readonly extents: number;
    readonly unshredded: number;
  }) => row.evacuating === Evacuation.UNDER_WAY && isNothing(row);
  const disks = (await evacuatedDisks(tx)).filter(isDone);
  for (const { pdskid } of disks) {
    await updateDisk(tx, pdskid, { evacuating: Evacuation.EMPTY });
    const sentence = `disk ${showDisk(pdskid)} is empty: it can be deleted`;
    await recordChange(tx, { target: FailureTarget.PDSK, targetid: pdskid, sentence }, context);
  }
  const servers = (await evacuatedServers(tx)).filter(isDone);
  for (const { ssvrid } of servers) {
    await updateStorageServer(tx, ssvrid, { evacuating: Evacuation.EMPTY });
    const sentence = `storage server ${showStorageServer(ssvrid)} is empty: it can be deleted`;
    await recordChange(tx, { target: FailureTarget.SSVR, targetid: ssvrid, sentence }, context);
  }
  return disks.length + servers.length;
};
