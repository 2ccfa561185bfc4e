import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ownerTag } from "../../shared/iscsi-names.js";
import { EventStatus } from "../../shared/states.js";
import { extentPlace, MIB, SECTOR_BYTES } from "../../shared/units.js";
import { waitUntil } from "../harness/wait-until.js";
import { beginWrites, digest, endOfWrites, read, served, stopWrites, tryWrite, write } from "./guest-io.js";
import { diskPath, extent, GuestStorage, STATE, sectorsOf } from "./guest-storage.js";

const VOLUME = 7;
const REGION_MIB = 16;
/** What checksumRegions says of a region of zeros. */
const ZEROS = createHash("sha256")
  .update(Buffer.alloc(REGION_MIB * MIB))
  .digest("hex")
  .slice(0, 32);

test("an epoch reaches what it is granted and nothing else, while its agent is away too, until it is revoked", async () => {
  const storage = await GuestStorage.boot(2);
  const { machine } = storage;
  const disk = diskPath(1);
  await storage.start();
  const [first, second] = [extent(1, 1, 0), extent(2, 1, 1)];
  const other = extent(3, 2, 0);
  await storage.grant(VOLUME, 1, 1, [first, other]);
  const device = await storage.login(VOLUME, 1, 1);
  const on = (where: typeof first) => ({ device, sector: sectorsOf(where).unit });
  const below = (where: typeof first) => ({ device: disk, sector: sectorsOf(where).disk });

  // What is granted is written and read, and a flush reaches the disk.
  await write(machine, on(first), "granted");
  expect(await read(machine, on(first))).toBe("granted");
  expect(await read(machine, below(first))).toBe("granted");
  expect(await read(machine, { device, sector: 0 })).toBe("");
  expect(await machine.run(`cat /sys/block/$(basename ${device})/queue/write_cache`)).toBe("write back\n");
  const flushes = await served(machine, disk, "flushes");
  await machine.run(`sync ${device}`);
  expect(await served(machine, disk, "flushes")).toBeGreaterThan(flushes);

  // Nothing else is, and what is granted later is so at once.
  expect(await tryWrite(machine, on(second), "too early")).not.toBe(0);
  expect(await read(machine, below(second))).toBe("");
  await storage.grant(VOLUME, 1, 2, [first, second, other]);
  await write(machine, on(second), "second");
  expect(await read(machine, below(second))).toBe("second");

  // Checksums are of what is on the disk, whoever wrote it.
  const place = { dextid: 2, pdskid: 1, offset: 1, capacity: 1, generation: 1 };
  const checksum = () => storage.call("checksumRegions", { ...place, from: 0, count: 1 });
  const data = extentPlace(1, 1).dataStart / SECTOR_BYTES;
  expect(await checksum()).toEqual([ZEROS]);
  await write(machine, { device, sector: data + MIB / SECTOR_BYTES }, "changed");
  const found = await digest(machine, { device: disk, sector: data }, REGION_MIB);
  expect(await checksum()).toEqual([found.slice(0, 32)]);
  expect(found.slice(0, 32)).not.toBe(ZEROS);

  // Without the agent, and with the next one, writes go on, and grants hold.
  await storage.grant(VOLUME, 1, 3, [first, other]);
  await beginWrites(machine, on(first), "--rate_iops=10");
  await storage.end("KILL");
  expect(await tryWrite(machine, on(second), "not any more")).not.toBe(0);
  await storage.start();
  expect(await tryWrite(machine, on(second), "not any more")).not.toBe(0);
  expect(await read(machine, below(second))).toBe("second");
  const before = await served(machine, device, "writes");
  await waitUntil("writes go on", async () => (await served(machine, device, "writes")) > before + 20);
  expect(await endOfWrites(machine)).toBeUndefined();
  await stopWrites(machine);

  // From when the revoke is answered nothing changes, although there is much under way.
  await beginWrites(machine, on(first));
  const sent = await served(machine, device, "writes");
  await waitUntil("much is under way", async () => (await served(machine, device, "writes")) > sent + 50);
  await storage.revoke(VOLUME, 1);
  const content = await digest(machine, below(first), REGION_MIB);
  expect(await tryWrite(machine, on(first), "too late")).not.toBe(0);
  expect(await waitUntil("the writes have failed", () => endOfWrites(machine))).not.toBe(0);
  expect(await digest(machine, below(first), REGION_MIB)).toBe(content);
  expect(await storage.kernelObjects()).toEqual([]);
  expect(await machine.run("cat /proc/partitions")).not.toContain("dm-");

  // What is shredded is zero, for the next epoch and on the disk.
  const shred = { ...first, generation: 2 };
  await storage.call("registerShredRequest", { ...shred, eventid: 1 });
  await waitUntil("it is shredded", async () => {
    const { status } = (await storage.call("getShredStatus", shred)) as { status: number };
    return status === EventStatus.DONE;
  });
  expect(await digest(machine, below(first), REGION_MIB)).not.toBe(content);
  expect((await digest(machine, below(first), REGION_MIB)).slice(0, 32)).toBe(ZEROS);
  await storage.grant(VOLUME, 2, 1, [shred]);
  const next = await storage.login(VOLUME, 2, 1);
  expect(await read(machine, { ...on(first), device: next })).toBe("");

  await storage.end("USR2");
  expect(await storage.kernelObjects()).toEqual([]);
});

test("what a killed agent left half made, or of another boot, is put right by the next one", async () => {
  const storage = await GuestStorage.boot(2);
  const { machine } = storage;
  await storage.start();
  const [one, two] = [extent(1, 1, 0), extent(2, 2, 0)];
  await storage.grant(VOLUME, 1, 1, [one, two]);
  const owner = ownerTag(STATE);
  const whole = await storage.kernelObjects();
  expect(whole).toEqual([
    `device vas-${owner}-00000007-1-00000001`,
    `device vas-${owner}-00000007-1-00000002`,
    `backstore vas-${owner}-00000007-1-00000001`,
    `backstore vas-${owner}-00000007-1-00000002`,
    `target ${storage.target(VOLUME, 1)}`,
    "unit 1",
    "unit 2",
  ]);
  const device = await storage.login(VOLUME, 1, 1);
  await storage.end("KILL");
  const before = storage
    .target(VOLUME, 1)
    .replace(storage.server, `iqn.2026-01.org.example:${owner}-00000000`);
  await machine.run(`
    set -e
    cd /sys/kernel/config/target
    # Killed in the midst of a change of the first disk's table, and of the second one's removal.
    dmsetup suspend --nolockfs vas-${owner}-00000007-1-00000001
    rm iscsi/${storage.target(VOLUME, 1)}/tpgt_1/lun/lun_2/port
    rmdir core/iblock_0/vas-${owner}-00000007-1-00000002
    # At the begin of others.
    dmsetup create --notable vas-${owner}-00000008-1-00000001
    mkdir core/iblock_0/vas-${owner}-00000009-1-00000002
    mkdir -p iscsi/${storage.target(10, 1)}/tpgt_1
    # Another boot let others in by the same device; and a disk that is not served any more.
    mkdir -p iscsi/${before}/tpgt_1/lun/lun_1
    ln -s $PWD/core/iblock_0/vas-${owner}-00000007-1-00000001 iscsi/${before}/tpgt_1/lun/lun_1/port
    dmsetup create vas-${owner}-00000007-1-00000003 --table '0 2048 error'
    # Of another agent.
    dmsetup create vas-01234567-00000007-1-00000001 --table '0 2048 error'`);
  await storage.start();
  expect(await storage.kernelObjects()).toEqual(["device vas-01234567-00000007-1-00000001", ...whole]);
  const place = { device, sector: sectorsOf(one).unit };
  await write(machine, place, "by the old session");
  expect(await read(machine, { device: diskPath(1), sector: sectorsOf(one).disk })).toBe(
    "by the old session",
  );
  await machine.run("iscsiadm -m session --rescan; udevadm settle");
  const second = (await machine.run("readlink -e /dev/disk/by-path/*-lun-2")).trim();
  await write(machine, { device: second, sector: sectorsOf(two).unit }, "by the new unit");
});

test("a revoke that the disk holds up is refused in time, and succeeds when the disk goes on", async () => {
  const storage = await GuestStorage.boot(1, ["/dev/mapper/gate"]);
  const { machine } = storage;
  await machine.run(
    `dmsetup create gate --table "0 $(blockdev --getsz ${diskPath(1)}) linear ${diskPath(1)} 0"`,
  );
  await storage.start();
  const only = extent(1, 1, 0);
  await storage.grant(VOLUME, 1, 1, [only]);
  const place = { device: await storage.login(VOLUME, 1, 1), sector: sectorsOf(only).unit };
  await beginWrites(machine, place);
  await waitUntil("writes are under way", async () => (await served(machine, place.device, "writes")) > 50);
  await machine.run("dmsetup suspend --nolockfs --noflush gate");
  await expect(storage.revoke(VOLUME, 1)).rejects.toThrow(/EAGAIN: what was sent to pdsk-00000001/);
  await expect(storage.revoke(VOLUME, 1)).rejects.toThrow("EAGAIN");
  await machine.run("dmsetup resume gate");
  await storage.revoke(VOLUME, 1);
  const below = { device: diskPath(1), sector: sectorsOf(only).disk };
  const content = await digest(machine, below, REGION_MIB);
  expect(await waitUntil("the writes have failed", () => endOfWrites(machine))).not.toBe(0);
  expect(await digest(machine, below, REGION_MIB)).toBe(content);
  expect(await storage.kernelObjects()).toEqual([]);
});
