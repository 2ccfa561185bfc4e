import { expect, test } from "vitest";
import { waitUntil } from "../harness/wait-until.js";
import { beginWrite, ended, hasFailedPath, makeArray, nameOf, stateOf } from "./guest-array.js";
import type { Machine } from "./machine.js";
import { useMachine } from "./use-machine.js";

const TARGET = "iqn.2026-01.org.example:disk";
const ADDRESS = "127.0.0.11";

/** A disk to be exported, and one that is at hand. */
const TWO_DISKS = `
set -e
modprobe -a loop iscsi_tcp sd_mod dm_multipath dm_service_time md_mod raid1
truncate -s 64M /tmp/far /tmp/near
losetup /dev/loop0 /tmp/far
losetup /dev/loop1 /tmp/near
dmsetup create far --table '0 131072 linear /dev/loop0 0'
dmsetup create near --table '0 131072 linear /dev/loop1 0'`;

/** From 2 MiB on, the exported disk fails. */
const FAIL = `
set -e
dmsetup suspend far
dmsetup load far <<TABLE
0 4096 linear /dev/loop0 0
4096 126976 error
TABLE
dmsetup resume far`;

const exportByTgt = `
set -e
setsid tgtd --iscsi portal=${ADDRESS}:3260 </dev/null >/tmp/tgtd.log 2>&1 &
until tgtadm --lld iscsi --op show --mode sys >/dev/null 2>&1; do sleep 0.1; done
tgtadm --lld iscsi --op new --mode target --tid 1 -T ${TARGET}
tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b /dev/mapper/far --bsoflags direct
tgtadm --lld iscsi --op bind --mode target --tid 1 -I ALL`;

const exportByLio = `
set -e
modprobe -a configfs target_core_mod target_core_iblock iscsi_target_mod
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
mkdir -p /var/target
disk=/sys/kernel/config/target/core/iblock_0/far
mkdir -p $disk
echo udev_path=/dev/mapper/far >$disk/control
echo 1 >$disk/enable
group=/sys/kernel/config/target/iscsi/${TARGET}/tpgt_1
mkdir -p $group/np/${ADDRESS}:3260 $group/lun/lun_1
ln -s $disk $group/lun/lun_1/port
echo 0 >$group/attrib/authentication
echo 1 >$group/attrib/generate_node_acls
echo 1 >$group/attrib/cache_dynamic_acls
echo 0 >$group/attrib/demo_mode_write_protect
echo 1 >$group/enable`;

/** A mirror of an exported disk, behind multipath that queues, and of one at hand, in which a write to the first is failing. */
async function failingMirror(exportDisk: string): Promise<{ machine: Machine; member: string }> {
  const machine = await useMachine();
  await machine.run(TWO_DISKS);
  await machine.run(exportDisk);
  await machine.run(`
    set -e
    iscsid
    iscsiadm -m discovery -t st -p ${ADDRESS}:3260
    iscsiadm -m node -T ${TARGET} -p ${ADDRESS}:3260 --login
    udevadm settle
    disk=$(readlink -f /dev/disk/by-path/ip-${ADDRESS}:3260-iscsi-${TARGET}-lun-1)
    dmsetup create held --table "0 131072 multipath 1 queue_if_no_path 0 1 1 service-time 0 1 1 $disk 1"`);
  await makeArray(machine, "/dev/mapper/held", "/dev/mapper/near");
  await machine.run(FAIL);
  await beginWrite(machine, "missed", 4);
  return { machine, member: await nameOf(machine, "held") };
}

test("what a disk behind tgt fails to write is no failed path: md drops it and acknowledges, and nobody was asked", async () => {
  const { machine, member } = await failingMirror(exportByTgt);
  await waitUntil("the write has ended", async () => "missed" in (await ended(machine)));
  expect(await ended(machine)).toEqual({ missed: "0" });
  expect(await stateOf(machine, member)).toContain("faulty");
  expect(await hasFailedPath(machine, "held")).toBe(false);
});

test("what a disk behind LIO fails to write is a failed path: the write waits until it is told to fail", async () => {
  const { machine, member } = await failingMirror(exportByLio);
  await waitUntil("the path has failed", () => hasFailedPath(machine, "held"));
  expect(await ended(machine)).toEqual({});
  expect(await stateOf(machine, member)).toContain("in_sync");

  await machine.run("dmsetup message held 0 fail_if_no_path");
  await waitUntil("the write has ended", async () => "missed" in (await ended(machine)));
  expect(await ended(machine)).toEqual({ missed: "0" });
  expect(await stateOf(machine, member)).toContain("faulty");
});
