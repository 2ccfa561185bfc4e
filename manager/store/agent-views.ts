import type { HeldExtent, HeldVolume, StorageView } from "../domain/compare-holdings.js";
import type { HeadView, ServedVolume } from "../domain/compare-running.js";
import { isUsable } from "../domain/snapshot-rules.js";
import { findDisk, listDisks } from "./disks.js";
import { membersOfAttachment } from "./extents.js";
import { findOpenJob } from "./jobs.js";
import type { Tx } from "./open-store.js";
import { unrevokedOfServer } from "./unrevoked.js";
import { findVolume, mirrorsOfVolume, snapshotsOf, type VolumeRow, volumesOfHead } from "./volumes.js";

/** What the rows say of one server, to be compared with what its agent says. */

/** @param named ids of volumes and disks that the agent named. */
export async function readStorageView(
  tx: Tx,
  ssvrid: number,
  named: { readonly lvolids: Iterable<number>; readonly pdskids: Iterable<number> },
): Promise<StorageView> {
  const disks = new Map((await listDisks(tx, ssvrid)).map((disk) => [disk.pdskid, disk]));
  const elsewhere = new Map<number, number>();
  for (const pdskid of named.pdskids) {
    const other = disks.has(pdskid) ? undefined : await findDisk(tx, pdskid);
    if (other !== undefined) elsewhere.set(pdskid, other.ssvrid);
  }
  const extents = await extentsOn(tx, ssvrid);
  const volumes = await volumesOf(tx, [
    ...named.lvolids,
    ...extents.flatMap(({ lvolid }) => (lvolid === null ? [] : [lvolid])),
  ]);
  const { next } = await tx
    .selectFrom("sequence")
    .select("next")
    .where("name", "=", "pdsk")
    .executeTakeFirstOrThrow();
  const unrevoked = await unrevokedOfServer(tx, ssvrid);
  return {
    ssvrid,
    disks,
    elsewhere,
    nextPdskid: next,
    extents: new Map(extents.map((extent) => [extent.dextid, extent])),
    free: await freeRangesOn(tx, ssvrid),
    volumes,
    unrevoked: new Map(unrevoked.map(({ lvolid, epoch }) => [lvolid, epoch])),
  };
}

async function extentsOn(tx: Tx, ssvrid: number): Promise<HeldExtent[]> {
  const rows = await tx
    .selectFrom("extent")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .leftJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .leftJoin("volume", "volume.lvolid", "mirror.lvolid")
    .where("disk.ssvrid", "=", ssvrid)
    .select(["extent.dextid", "extent.pdskid", "extent.offset", "extent.length"])
    .select(["extent.generation", "extent.status", "extent.last_lvolid"])
    .select(["volume.lvolid", "volume.lvolname", "volume.origin_lvolid"])
    .select(["volume.snapshot_status", "volume.snapshot_lost"])
    .execute();
  return rows.map(({ lvolid, lvolname, origin_lvolid, snapshot_status, snapshot_lost, ...row }) => {
    const { last_lvolid, ...extent } = row;
    if (lvolid === null) return { ...extent, lvolid: last_lvolid, isKept: false };
    const owner = { lvolid, origin_lvolid, lvolname, snapshot_status, snapshot_lost } as VolumeRow; // an inner join
    return {
      ...extent,
      lvolid: origin_lvolid ?? lvolid,
      isKept: origin_lvolid === null || isUsable(owner),
    };
  });
}

function freeRangesOn(tx: Tx, ssvrid: number): Promise<StorageView["free"][number][]> {
  return tx
    .selectFrom("free_range")
    .innerJoin("disk", "disk.pdskid", "free_range.pdskid")
    .where("disk.ssvrid", "=", ssvrid)
    .select(["free_range.pdskid", "free_range.offset", "free_range.length"])
    .execute();
}

async function volumesOf(tx: Tx, lvolids: readonly number[]): Promise<Map<number, HeldVolume>> {
  const volumes = new Map<number, HeldVolume>();
  for (const lvolid of new Set(lvolids)) {
    const volume = await findVolume(tx, lvolid);
    if (volume !== undefined) volumes.set(lvolid, { ...volume, isLeaving: await isLeaving(tx, lvolid) });
  }
  return volumes;
}

async function isLeaving(tx: Tx, lvolid: number): Promise<boolean> {
  return (await findOpenJob(tx, "end-maintenance", lvolid)) !== undefined;
}

/** @param lvolids of the volumes that the agent named. */
export async function readHeadView(tx: Tx, hsvrid: number, lvolids: Iterable<number>): Promise<HeadView> {
  const rows = new Map((await volumesOfHead(tx, hsvrid)).map((volume) => [volume.lvolid, volume]));
  for (const lvolid of lvolids) {
    const volume = rows.has(lvolid) ? undefined : await findVolume(tx, lvolid);
    if (volume !== undefined) rows.set(lvolid, volume);
  }
  const volumes = new Map<number, ServedVolume>();
  for (const [lvolid, volume] of rows) volumes.set(lvolid, await servedVolume(tx, volume));
  return { hsvrid, volumes };
}

async function servedVolume(tx: Tx, volume: VolumeRow): Promise<ServedVolume> {
  const snapshots = await snapshotsOf(tx, volume.lvolid);
  const members = new Map<number, ServedVolume["mirrors"][number]["members"][number][]>();
  for (const { mirrorid, dextid, status } of await membersOfAttachment(tx, volume.lvolid)) {
    const list = members.get(mirrorid);
    if (list === undefined) members.set(mirrorid, [{ dextid, status }]);
    else list.push({ dextid, status });
  }
  const mirrors: ServedVolume["mirrors"][number][] = [];
  for (const { lvolid } of [volume, ...snapshots]) {
    for (const { mirrorid, version } of await mirrorsOfVolume(tx, lvolid))
      mirrors.push({ mirrorid, version, lvolid, members: members.get(mirrorid) ?? [] });
  }
  return {
    ...volume,
    isLeaving: await isLeaving(tx, volume.lvolid),
    mirrors,
    snapshots: snapshots.map((snapshot) => ({ lvolid: snapshot.lvolid, isKept: isUsable(snapshot) })),
  };
}
