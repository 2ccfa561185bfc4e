import { expect, test } from "vitest";
import { waitUntil } from "../harness/wait-until.js";
import { beginWrite, ended, hasFailedPath, makeArray, nameOf, stateOf } from "./guest-array.js";
import type { Machine } from "./machine.js";
import { useMachine } from "./use-machine.js";

/**
 * Two members of 64 MiB, `a` and `b`, and a gate that writes can be kept at: what is kept counts as in flight at the device in front
 * of the one that is suspended.
 */
const TWO_MEMBERS = `
set -e
modprobe -a loop dm_delay dm_multipath dm_service_time md_mod raid1
truncate -s 64M /tmp/a /tmp/b
losetup /dev/loop0 /tmp/a
losetup /dev/loop1 /tmp/b
dmsetup create gate --table '0 32768 linear /dev/loop0 32768'
dmsetup create before-gate --table '0 32768 linear /dev/mapper/gate 0'
dmsetup create a --table '0 131072 linear /dev/loop0 0'
dmsetup create b --table '0 131072 linear /dev/loop1 0'`;

/**
 * Of `a`, what lies from 2 to 16 MiB fails at once, and writes from 16 to 32 MiB are kept at the gate until that is resumed,
 * and fail then: so one write fails while another one is still on its way. (dm-delay, because it can send flushes elsewhere.)
 */
const FAIL_SOME = `
set -e
dmsetup suspend --nolockfs --noflush gate
dmsetup load gate --table '0 32768 error'
dmsetup suspend a
dmsetup load a <<TABLE
0 4096 linear /dev/loop0 0
4096 28672 error
32768 32768 delay /dev/loop0 32768 0 /dev/mapper/before-gate 0 0 /dev/loop0 0 0
65536 65536 linear /dev/loop0 65536
TABLE
dmsetup resume a`;

/** Places in the array, in MiB; its data begins 1 MiB behind the begin of its members. */
const FAILS = 4;
const WAITS = 20;
const WORKS = 40;

/** Begins a write that fails while another one is at the gate. */
async function beginBoth(machine: Machine): Promise<void> {
  await beginWrite(machine, "waiting", WAITS);
  const gate = await nameOf(machine, "before-gate");
  await waitUntil("a write is at the gate", async () => {
    const [, writes] = (await machine.run(`cat /sys/block/${gate}/inflight`)).trim().split(/\s+/);
    return Number(writes) > 0;
  });
  await beginWrite(machine, "failing", FAILS);
}

test("md with external metadata acknowledges a write that its failed member missed before anybody has recorded that", async () => {
  const machine = await useMachine();
  await machine.run(TWO_MEMBERS);
  const [a, b] = [await nameOf(machine, "a"), await nameOf(machine, "b")];
  await machine.run(`
    set -e
    echo md101 >/sys/module/md_mod/parameters/new_array
    cd /sys/block/md101/md
    echo external:vastsky >metadata_version
    echo raid1 >level
    echo 2 >raid_disks
    echo 49152 >component_size
    slot=0
    for member in ${a} ${b}; do
      cat /sys/block/$member/dev >new_dev
      echo 2048 >dev-$member/offset
      echo 49152 >dev-$member/size
      echo insync >dev-$member/state
      echo $slot >dev-$member/slot
      slot=1
    done
    echo none >resync_start
    echo external >bitmap/metadata
    echo 1048576 >bitmap/chunksize
    echo 5 >bitmap/time_base
    echo +8 >bitmap/location
    echo active >array_state
    echo 0 >safe_mode_delay
    echo writemostly >dev-${a}/state`);
  const answer = "echo active >/sys/block/md101/md/array_state";
  await beginWrite(machine, "first", WORKS);
  await waitUntil("the first write, which asks as well, has ended", async () => {
    await machine.run(answer);
    return (await ended(machine)).first === "0";
  });

  await machine.run(FAIL_SOME);
  await beginBoth(machine);
  await waitUntil("the member is out", async () => (await stateOf(machine, a)).includes("faulty"));
  // Nobody has answered: the write that failed waits.
  expect(await stateOf(machine, a)).toContain("blocked");
  expect(await ended(machine)).toEqual({ first: "0" });

  await machine.run("dmsetup resume gate");
  await waitUntil("the other write has ended", async () => "waiting" in (await ended(machine)));
  expect(await ended(machine)).toEqual({ first: "0", waiting: "0" });
  expect(await stateOf(machine, a)).toEqual(expect.arrayContaining(["faulty", "blocked"]));
  expect(await machine.run("cat /sys/block/md101/md/array_state")).toBe("write-pending\n");

  await machine.run(`echo -blocked >/sys/block/md101/md/dev-${a}/state; ${answer}`);
  await waitUntil("both have ended", async () => (await ended(machine)).failing === "0");
});

test("writes that a member can't take wait in multipath below md until they are told to fail, and reads go on", async () => {
  const machine = await useMachine();
  await machine.run(TWO_MEMBERS);
  const table =
    "0 131072 multipath 3 queue_if_no_path queue_mode bio 0 1 1 service-time 0 1 1 /dev/mapper/a 1";
  await machine.run(`dmsetup create held --table "${table}"`);
  await makeArray(machine, "/dev/mapper/held", "/dev/mapper/b");
  const held = await nameOf(machine, "held");
  await machine.run(`echo writemostly >/sys/block/md101/md/dev-${held}/state`);
  await machine.run(FAIL_SOME);
  await beginBoth(machine);
  await machine.run("dmsetup resume gate");
  await waitUntil("the path has failed", () => hasFailedPath(machine, "held"));
  await beginWrite(machine, "later", WORKS);
  await machine.run(`dd if=/dev/md101 of=/dev/null bs=4k count=1 skip=${WORKS * 256} iflag=direct`);
  expect(await ended(machine)).toEqual({});
  expect(await stateOf(machine, held)).toContain("in_sync");

  await machine.run("dmsetup message held 0 fail_if_no_path");
  await waitUntil("all have ended", async () => Object.keys(await ended(machine)).length === 3);
  expect(await ended(machine)).toEqual({ failing: "0", later: "0", waiting: "0" });
  expect(await stateOf(machine, held)).toContain("faulty");
});
