import { describeError, VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import { SECTOR_BYTES } from "../../shared/units.js";
import type { ManagerClient } from "../common/manager-client.js";
import type { DataPlane, VerifiedDisk } from "./data-plane.js";
import type { DiskRecords } from "./disk-records.js";
import { DiskRefusedError } from "./disks.js";
import type { FoundDisk, Inventory } from "./inventory.js";

export interface DiskRegistrationOptions {
  readonly manager: Pick<ManagerClient, "call">;
  readonly inventory: Inventory;
  readonly records: DiskRecords;
  readonly exports: Pick<DataPlane, "endpointOf">;
  /** The operator's word that disks which the manager does not know may be overwritten. */
  readonly force: boolean;
  readonly log: Log;
}

/**
 * Registers a disk of this server: under the id of its label, or as a new one, which is labelled then.
 *
 * @throws DiskRefusedError if it can't be used as it is
 * @throws VasError and what else ManagerClient.call does
 */
export async function registerDisk(
  options: DiskRegistrationOptions,
  ssvrid: number,
  disk: FoundDisk,
  signal: AbortSignal,
): Promise<void> {
  if (disk.pdskid === undefined) {
    await registerNew(options, ssvrid, disk, signal);
    return;
  }
  const labelled = { ...disk, pdskid: disk.pdskid };
  try {
    await callRegister(options, ssvrid, labelled, signal);
  } catch (error) {
    if (!(error instanceof VasError) || error.errno !== "ENOENT") throw error;
    await registerDeleted(options, ssvrid, labelled, signal);
    return;
  }
  await atDisk(disk.path, () => options.inventory.own(labelled));
}

/**
 * The disk carries an id that the manager does not know. As a rule it was deleted; but a manager that was restored from
 * an old backup may not know it either (rule R13), so that its content is given up only on the operator's word.
 */
async function registerDeleted(
  options: DiskRegistrationOptions,
  ssvrid: number,
  disk: VerifiedDisk,
  signal: AbortSignal,
): Promise<void> {
  await atDisk(disk.path, () => options.inventory.disown(disk.pdskid));
  const story = `the disk ${disk.path} was deleted from the cluster (${showDisk(disk.pdskid)})`;
  if (!options.force) {
    throw new DiskRefusedError(
      `${story}; wipe it to offer it again, or set "force = true" – unless the manager was restored from an old backup`,
    );
  }
  const given = await registerNew(options, ssvrid, disk, signal);
  options.log.warn({ path: disk.path }, `${story}; with "force = true" it is the new ${showDisk(given)} now`);
}

/** @returns the id that the manager gave it */
async function registerNew(
  options: DiskRegistrationOptions,
  ssvrid: number,
  { index, path, bytes }: FoundDisk,
  signal: AbortSignal,
): Promise<number> {
  const disk = { index, path, bytes };
  const pdskid =
    (await recallNew(options, ssvrid, path, signal)) ??
    (await callRegister(options, ssvrid, { ...disk, pdskid: undefined }, signal));
  await atDisk(path, () => options.inventory.adopt({ ...disk, pdskid }));
  return pdskid;
}

/**
 * The id that a new disk was given although we did not learn it, or died before we wrote its label. When this returns,
 * nothing is done any more with what stood at its path before.
 *
 * @throws DiskRefusedError if the manager knows another disk at this path: to return under its id would make it believe
 *   that its content is here
 */
async function recallNew(
  { manager, inventory, records }: DiskRegistrationOptions,
  ssvrid: number,
  path: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const replaced = records.at(path);
  const known = await manager.call("listPhysicalDisks", replaced === undefined ? { ssvrid } : {}, { signal });
  const before =
    known.find(({ pdskid }) => pdskid === replaced?.pdskid) ??
    known.find((other) => other.ssvrid === ssvrid && other.local_path === path);
  if (before !== undefined && (before.pdskid === replaced?.pdskid || !records.isIntended(path))) {
    const shown = showDisk(before.pdskid);
    throw new DiskRefusedError(
      `${path} was ${shown} and carries no label of it now; if the disk was replaced, delete ${shown} (deletePhysicalDisk), or give the new one by another path`,
    );
  }
  for (const record of records.disks.filter((other) => other.path === path))
    await atDisk(path, () => inventory.disown(record.pdskid));
  await records.intend(path);
  return before?.pdskid;
}

function callRegister(
  { manager, exports }: DiskRegistrationOptions,
  ssvrid: number,
  disk: FoundDisk,
  signal: AbortSignal,
): Promise<number> {
  return manager.call(
    "registerPhysicalDisk",
    {
      ssvrid,
      local_path: disk.path,
      capacity: String(Math.floor(disk.bytes / SECTOR_BYTES)),
      ...exports.endpointOf(disk.index),
      ...(disk.pdskid === undefined ? {} : { pdskid: disk.pdskid }),
    },
    { signal },
  );
}

/** Does what is no matter of the manager: if it fails, it is this disk that can't be used now. */
async function atDisk(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof DiskRefusedError) throw cause;
    throw new DiskRefusedError(`the disk ${path} can't be used now: ${describeError(cause)}`, { cause });
  }
}
