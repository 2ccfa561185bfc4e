import { expect, test } from "vitest";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { FailureTarget } from "../../shared/states.js";
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

test("a disk that is in use, or was declared failed, answers EEXIST to a registration without its label", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const again = { ssvrid, local_path: "/dev/sdb", capacity };
  await expect(state.run(registerPhysicalDisk, again)).rejects.toMatchObject({ errno: "EEXIST" });
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
  await expect(state.run(registerPhysicalDisk, again)).rejects.toMatchObject({ errno: "EEXIST" });
});
