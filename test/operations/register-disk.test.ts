import { expect, test } from "vitest";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { shutdownAll } from "../../manager/operations/shutdown-all.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { FailureTarget, Priority } from "../../shared/states.js";
import { State, sectorsOf } from "./state.js";

const capacity = sectorsOf(4);

test("disks whose device names were swapped by a reboot keep their ids", async () => {
  const state = await State.open();
  const { ssvrid, pdskid: first } = await state.addServer(1, 4);
  const second = await state.run(registerPhysicalDisk, { ssvrid, local_path: "/dev/sdc", capacity });
  await state.run(registerPhysicalDisk, {
    ssvrid,
    local_path: "/dev/sdc",
    capacity,
    pdskid: first,
    nbd_port: 10809,
  });
  await state.run(registerPhysicalDisk, {
    ssvrid,
    local_path: "/dev/sdb",
    capacity,
    pdskid: second,
    nbd_port: 10810,
  });
  const disks = await state.run(listPhysicalDisks, {});
  expect(disks.map(({ pdskid, local_path }) => [pdskid, local_path])).toEqual([
    [first, "/dev/sdc"],
    [second, "/dev/sdb"],
  ]);
  expect(await state.findings()).toEqual([]);
});

test("a disk that grew gets its new space after a shred, and one that shrank is refused", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const again = { ssvrid, local_path: "/dev/sdb", pdskid };
  await state.run(registerPhysicalDisk, { ...again, capacity: sectorsOf(6) });
  expect(await state.run(listPhysicalDisks, {})).toMatchObject([
    { capacity: 6, available: 4, unshredded: 2 },
  ]);
  await state.finishShreds();
  expect(await state.run(listPhysicalDisks, {})).toMatchObject([
    { capacity: 6, available: 6, unshredded: 0 },
  ]);
  await expect(state.run(registerPhysicalDisk, { ...again, capacity })).rejects.toMatchObject({
    errno: "EINVAL",
  });
  expect(await state.findings()).toEqual([]);
});

test("a disk that is in use answers EEXIST to a registration without its label", async () => {
  const state = await State.open();
  const { ssvrid } = await state.addServer(1, 4);
  const again = { ssvrid, local_path: "/dev/sdb", capacity };
  await expect(state.run(registerPhysicalDisk, again)).rejects.toMatchObject({ errno: "EEXIST" });
});

test("a disk that was reported as failed comes back in no way: with its label, elsewhere, or after its server was away", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const { ssvrid: other } = await state.addServer(2, 4);
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
  const again = { ssvrid, local_path: "/dev/sdb", capacity };
  const refused = {
    errno: "EEXIST",
    sentence: expect.stringMatching(/reported as failed; delete it \(deletePhysicalDisk\) and wipe it/),
  };
  await expect(state.run(registerPhysicalDisk, again)).rejects.toMatchObject(refused);
  await expect(state.run(registerPhysicalDisk, { ...again, pdskid })).rejects.toMatchObject(refused);
  const moved = { ...again, ssvrid: other, local_path: "/dev/sdz", pdskid };
  await expect(state.run(registerPhysicalDisk, moved)).rejects.toMatchObject(refused);
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  await state.run(markHeard, { kind: "storage", id: ssvrid });
  expect(await state.run(listPhysicalDisks, { ssvrid })).toMatchObject([
    { priority: Priority.FAULTY, local_path: "/dev/sdb" },
  ]);
});

test("a new disk of a server that is out of use is so too, and comes back with it", async () => {
  const state = await State.open();
  const { ssvrid } = await state.addServer(1, 4);
  await state.run(shutdownAll, {});
  const disk = { ssvrid, local_path: "/dev/sdc", capacity };
  const pdskid = await state.run(registerPhysicalDisk, disk);
  expect((await state.run(listPhysicalDisks, {})).map(({ priority }) => priority)).toEqual([
    Priority.HALT,
    Priority.HALT,
  ]);
  await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "b" });
  expect(await state.run(registerPhysicalDisk, { ...disk, pdskid })).toBe(pdskid);
  expect((await state.run(listPhysicalDisks, {})).map(({ priority }) => priority)).toEqual([
    Priority.HALT,
    Priority.HIGH,
  ]);
});
