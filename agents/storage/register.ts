import { showDisk } from "../../shared/ids.js";
import { SECTOR_BYTES } from "../../shared/units.js";
import type { Identity } from "../common/identity.js";
import type { ManagerClient } from "../common/manager-client.js";
import type { DiskRecords } from "./disk-records.js";
import { DiskRefusedError } from "./disks.js";
import type { VerifiedDisk } from "./exports.js";
import type { FoundDisk, Inventory } from "./inventory.js";

export interface RegistrationOptions {
  readonly manager: ManagerClient;
  readonly identity: Identity;
  readonly inventory: Inventory;
  readonly records: DiskRecords;
  readonly addresses: readonly string[];
  /** Of our XML-RPC door. */
  readonly port: number;
  readonly firstNbdPort: number;
  readonly bootId: string;
  readonly zone: string;
}

/** Registers this server and its disks, each time it is called; what fails at one disk is retried with all of them. */
export function createRegistration(options: RegistrationOptions): (signal: AbortSignal) => Promise<void> {
  const { manager, identity, inventory, addresses, port, bootId, zone } = options;
  let starting = true;
  return async (signal) => {
    const { cluster, serial } = await manager.call("identifyCluster", {}, { signal });
    await identity.admit(cluster, serial);
    const ssvrid = await manager.call(
      "registerStorageServer",
      { ip_data: [...addresses], port, boot_id: bootId, starting, ...(zone === "" ? {} : { zone }) },
      { signal },
    );
    starting = false;
    const failures: unknown[] = [];
    for (const disk of await inventory.scan()) {
      signal.throwIfAborted();
      await registerDisk(options, ssvrid, disk, signal).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
}

async function registerDisk(
  options: RegistrationOptions,
  ssvrid: number,
  disk: FoundDisk,
  signal: AbortSignal,
): Promise<void> {
  const { pdskid } = disk;
  if (pdskid !== undefined) {
    await callRegister(options, ssvrid, { ...disk, pdskid }, signal);
    return;
  }
  await options.inventory.tryDisk(disk.path, async () => {
    const given =
      (await recallBlank(options, ssvrid, disk, signal)) ??
      (await callRegister(options, ssvrid, disk, signal));
    await options.inventory.adopt({ ...disk, pdskid: given });
  });
}

/**
 * The id that a blank disk was given although we did not learn it, or died before we wrote its label.
 *
 * @throws DiskRefusedError if the manager knows another disk at this path: to return under its id would make it believe
 *   that its content is here
 */
async function recallBlank(
  options: RegistrationOptions,
  ssvrid: number,
  disk: FoundDisk,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { manager, records } = options;
  const known = await manager.call("listPhysicalDisks", { ssvrid }, { signal });
  const before = known.find(({ local_path }) => local_path === disk.path);
  if (before !== undefined && !records.isIntended(disk.path)) {
    throw new DiskRefusedError(
      `the manager knows ${disk.path} as ${showDisk(before.pdskid)}, and the disk carries no label; if it was replaced, give the new one by another path`,
    );
  }
  await records.intend(disk.path);
  return before?.pdskid;
}

function callRegister(
  { manager, firstNbdPort }: RegistrationOptions,
  ssvrid: number,
  disk: FoundDisk | VerifiedDisk,
  signal: AbortSignal,
): Promise<number> {
  return manager.call(
    "registerPhysicalDisk",
    {
      ssvrid,
      local_path: disk.path,
      capacity: String(Math.floor(disk.bytes / SECTOR_BYTES)),
      nbd_port: firstNbdPort + disk.index,
      ...(disk.pdskid === undefined ? {} : { pdskid: disk.pdskid }),
    },
    { signal },
  );
}
