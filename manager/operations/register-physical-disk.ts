import { VasError } from "../../shared/errors.js";
import { showDisk, showStorageServer } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { Evacuation, FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { SECTOR_BYTES, usableGigabytes } from "../../shared/units.js";
import { priorityOfDisk } from "../domain/evacuation-rules.js";
import { isUp } from "../domain/member-rules.js";
import {
  type DiskRow,
  findDisk,
  findDiskByPath,
  findDiskBySerial,
  insertDisk,
  raiseGeneration,
  updateDisk,
} from "../store/disks.js";
import { recordChange } from "../store/events.js";
import { holdsMembers, insertExtents } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { takeIds } from "../store/sequences.js";
import { findStorageServer, type StorageServerRow } from "../store/servers.js";
import type { Operation } from "./operation.js";
import { recordDiskChange } from "./record-disk-change.js";

type Params = ParamsOf<typeof apiMethods.registerPhysicalDisk>;
const DEFAULT_NBD_PORT = 10809;

/**
 * Registers a physical disk, or brings a known one back: known by the id on its label, its serial, or its path on
 * the same server. Space that is new counts as written, and is shredded before anyone gets it (D5).
 *
 * @returns pdskid
 * @throws VasError ENOENT for the id of a disk that was deleted: its label is of no disk for ever, as no id is used again
 */
export const registerPhysicalDisk: Operation<Params, number> = async (tx, params, context) => {
  const server = await findStorageServer(tx, params.ssvrid);
  if (server === undefined)
    throw new VasError("EINVAL", `ssvrid: there is no storage server ${showStorageServer(params.ssvrid)}`);
  const sectors = Number(params.capacity);
  const capacity = usableGigabytes(sectors * SECTOR_BYTES);
  if (capacity < 1) {
    throw new VasError(
      "EINVAL",
      `capacity: a disk of ${sectors} sectors is too small; one usable GB takes 1025 MiB and 1 MiB for the label`,
    );
  }

  const disk = await findKnown(tx, params);
  if (disk === undefined) {
    const pdskid = await insertNew(tx, params, server, sectors);
    const sentence = `disk ${showDisk(pdskid)} of ${showStorageServer(params.ssvrid)} is registered: ${params.local_path}, ${capacity} GB`;
    await recordChange(tx, { target: FailureTarget.PDSK, targetid: pdskid, sentence }, context);
    return pdskid;
  }
  assertNotFailed(disk);
  if (disk.ssvrid !== params.ssvrid) await assertMayMove(tx, disk);
  else if (!mayReturn(disk) && params.pdskid === undefined) {
    throw new VasError("EEXIST", `disk ${showDisk(disk.pdskid)} is registered and neither OFFLINE nor HALT`);
  }
  if (capacity < disk.capacity) {
    throw new VasError(
      "EINVAL",
      `capacity: disk ${showDisk(disk.pdskid)} had ${disk.capacity} GB and now has ${capacity}; a disk can't shrink`,
    );
  }
  if (capacity > disk.capacity) await addUnshredded(tx, disk.pdskid, disk.capacity, capacity - disk.capacity);

  await giveWayToPath(tx, disk.pdskid, params);
  const change = {
    ssvrid: params.ssvrid,
    local_path: params.local_path,
    serial: params.serial ?? disk.serial,
    sectors,
    capacity,
    nbd_port: params.nbd_port ?? disk.nbd_port,
    iscsi_name: params.iscsi_name ?? "",
    ...(mayReturn(disk) && isUp(server.priority) ? { priority: priorityOfDisk(disk) } : {}),
  };
  await updateDisk(tx, disk.pdskid, change);
  await recordDiskChange(tx, disk.pdskid, { before: disk, after: { ...disk, ...change } }, context);
  return disk.pdskid;
};

/** What was on it may not be what it should be: it never comes back as the disk that it was. @throws VasError EEXIST */
function assertNotFailed({ pdskid, priority }: DiskRow): void {
  if (priority !== Priority.FAULTY) return;
  throw new VasError(
    "EEXIST",
    `disk ${showDisk(pdskid)} was reported as failed; delete it (deletePhysicalDisk) and wipe it, and it can be offered again as a new disk`,
  );
}

function mayReturn(disk: DiskRow): boolean {
  return disk.priority === Priority.OFFLINE || disk.priority === Priority.HALT;
}

/** Device names move at a reboot (R12): the disk that had this one until now is registered under its new one later. */
async function giveWayToPath(tx: Tx, pdskid: number, { ssvrid, local_path, serial }: Params): Promise<void> {
  const holder = await findDiskByPath(tx, ssvrid, local_path);
  if (holder !== undefined && holder.pdskid !== pdskid) {
    await updateDisk(tx, holder.pdskid, { local_path: `${local_path} (was ${showDisk(holder.pdskid)})` });
  }
  const twin = serial === undefined ? undefined : await findDiskBySerial(tx, serial);
  if (twin !== undefined && twin.pdskid !== pdskid) {
    throw new VasError("EEXIST", `serial: disk ${showDisk(twin.pdskid)} has this serial too`);
  }
}

async function findKnown(tx: Tx, params: Params): Promise<DiskRow | undefined> {
  if (params.pdskid !== undefined) {
    const disk = await findDisk(tx, params.pdskid);
    if (disk === undefined) {
      throw new VasError(
        "ENOENT",
        `pdskid: there is no disk ${showDisk(params.pdskid)}, although ${params.local_path} is labelled so; was it deleted?`,
      );
    }
    return disk;
  }
  const bySerial = params.serial === undefined ? undefined : await findDiskBySerial(tx, params.serial);
  return bySerial ?? (await findDiskByPath(tx, params.ssvrid, params.local_path));
}

async function insertNew(tx: Tx, params: Params, server: StorageServerRow, sectors: number): Promise<number> {
  const capacity = usableGigabytes(sectors * SECTOR_BYTES);
  const [pdskid = 0] = await takeIds(tx, "pdsk", 1);
  await insertDisk(tx, {
    pdskid,
    ssvrid: params.ssvrid,
    local_path: params.local_path,
    serial: params.serial ?? null,
    sectors,
    capacity,
    // It comes back with its server, like the others.
    priority: isUp(server.priority) ? Priority.HIGH : server.priority,
    nbd_port: params.nbd_port ?? DEFAULT_NBD_PORT,
    iscsi_name: params.iscsi_name ?? "",
    generation: 0,
    bad_blocks: 0,
    evacuating: Evacuation.NONE,
  });
  await addUnshredded(tx, pdskid, 0, capacity);
  return pdskid;
}

async function addUnshredded(tx: Tx, pdskid: number, offset: number, length: number): Promise<void> {
  const [dextid = 0] = await takeIds(tx, "lvol", 1);
  const generation = await raiseGeneration(tx, pdskid);
  const status = MemberStatus.NEEDSHRED;
  await insertExtents(tx, [
    {
      dextid,
      pdskid,
      offset,
      length,
      generation,
      mirrorid: null,
      status,
      failures: 0,
      lost: 0,
      last_lvolid: null,
    },
  ]);
}

/** A disk that was carried to another server: the old one must not have it any more, and D6 must go on to hold. */
async function assertMayMove(tx: Tx, disk: DiskRow): Promise<void> {
  const old = await findStorageServer(tx, disk.ssvrid);
  if (old !== undefined && isUp(old.priority) && isUp(disk.priority)) {
    throw new VasError(
      "EBUSY",
      `disk ${showDisk(disk.pdskid)} is attached to storage server ${showStorageServer(disk.ssvrid)}`,
    );
  }
  if (await holdsMembers(tx, disk.pdskid)) {
    throw new VasError(
      "EBUSY",
      `disk ${showDisk(disk.pdskid)} holds copies of volumes and can't move from ${showStorageServer(disk.ssvrid)} to another server yet`,
    );
  }
}
