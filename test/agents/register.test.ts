import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import { type ErrorName, VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import { lives } from "./lives.js";
import { labelOf, registerRig, wipe } from "./register-rig.js";

const PASSING: readonly ErrorName[] = ["EHOSTDOWN", "ETIMEDOUT", "EAGAIN"];
const REFUSING: readonly ErrorName[] = ["EBUSY", "ENOSPC", "EEXIST", "EINVAL"];

type Rig = Awaited<ReturnType<typeof registerRig>>;

const pidOfExport = async ({ folder }: Rig, pdskid: number): Promise<number> => {
  const socket = join(folder, "exports", `${showDisk(pdskid)}.ctl`);
  return ((await callControl(socket, "status", {}, 60_000)) as { pid: number }).pid;
};

test("blank disks are registered as new, labelled and served, and keep their ids from then on", async () => {
  const rig = await registerRig();
  const { again } = await rig.start();
  await again();
  await again();
  expect([...rig.manager.disks]).toEqual(rig.paths.map((path, index) => [index + 1, path]));
  expect(await Promise.all(rig.paths.map(labelOf))).toEqual([1, 2]);
  expect(rig.manager.calls.map(({ pdskid }) => pdskid)).toEqual([undefined, undefined, 1, 2]);
  expect(lives(await pidOfExport(rig, 1))).toBe(true);
});

test.each(REFUSING)(
  "a disk refused with %s holds up nothing, whether it is blank or not, and is told once",
  async (errno) => {
    const rig = await registerRig();
    const { again } = await rig.start();
    const [a, b] = rig.paths;
    rig.manager.refuse.set(a, new VasError(errno, "not this one"));
    for (let round = 0; round < 3; round += 1) await again();
    expect(rig.count(/does not take the disk .*disk-a: not this one/)).toBe(1);
    expect([...rig.manager.disks.values()]).toEqual([b]);
    rig.manager.refuse.clear();
    await again();
    rig.manager.refuse.set(a, new VasError(errno, "not this one"));
    for (let round = 0; round < 3; round += 1) await again();
    expect(rig.count(/does not take the disk .*disk-a: not this one/)).toBe(2);
  },
);

test.each([...PASSING.map((errno) => new VasError(errno, "away")), new Error("away")])(
  "%s fails the registration, at blank disks too, after all the others were tried",
  async (error) => {
    const rig = await registerRig();
    const { again } = await rig.start();
    const [a, b] = rig.paths;
    rig.manager.refuse.set(a, error);
    await expect(again()).rejects.toBe(error);
    expect([...rig.manager.disks.values()]).toEqual([b]);
    rig.manager.refuse.clear();
    await again();
    rig.manager.refuse.set(a, error);
    await expect(again()).rejects.toBe(error);
    expect(rig.count(/does not take/)).toBe(0);
  },
);

test("a deleted disk is not served any more, after a restart neither, and its log line says once what to do", async () => {
  const rig = await registerRig();
  const first = await rig.start();
  await first.again();
  const pid = await pidOfExport(rig, 1);
  rig.manager.disks.delete(1);
  await first.again();
  await first.again();
  expect(lives(pid)).toBe(false);
  expect(first.endShreds).toHaveBeenCalledWith(1);
  const grant = { lvolid: 9, epoch: 1, hsvrid: 1, version: 1 };
  const extent = { dextid: 3, pdskid: 1, offset: 0, capacity: 1, generation: 9 };
  await expect(first.grants.grant({ ...grant, extents: [extent] })).rejects.toMatchObject({
    errno: "ENOENT",
  });
  expect(rig.count(/disk-a was deleted from the cluster \(pdsk-00000001\); wipe it .*force/)).toBe(1);
  expect(await labelOf(rig.paths[0])).toBe(1);
  expect(lives(await pidOfExport(rig, 2))).toBe(true);

  first.exports.release();
  const second = await rig.start();
  await second.inventory.scan();
  await expect(pidOfExport(rig, 1)).rejects.toThrow();
  await second.again();
  await expect(pidOfExport(rig, 1)).rejects.toThrow();
  expect([...rig.manager.disks.keys()]).toEqual([2]);
});

test("a deleted disk that was wiped is a new one, whether its deletion was noticed before or not", async () => {
  for (const isNoticed of [true, false]) {
    const rig = await registerRig();
    const { again, grants } = await rig.start();
    await again();
    const extent = { dextid: 3, pdskid: 1, offset: 0, capacity: 1, generation: 9 };
    await grants.grant({ lvolid: 9, epoch: 1, hsvrid: 1, version: 1, extents: [extent] });
    const pid = await pidOfExport(rig, 1);
    rig.manager.disks.delete(1);
    if (isNoticed) await again();
    await wipe(rig.paths[0]);
    await again();
    expect(lives(pid)).toBe(false);
    expect(await labelOf(rig.paths[0])).toBe(3);
    expect(lives(await pidOfExport(rig, 3))).toBe(true);
    expect(grants.newestGeneration({ pdskid: 3, offset: 0, capacity: 1 })).toBe(0);
    expect(grants.documentFor(3).grants).toEqual([]);
  }
});

test("a deleted disk that was wiped while its agent was away is a new one", async () => {
  const rig = await registerRig();
  const first = await rig.start();
  await first.again();
  await first.exports.stopAll();
  rig.manager.disks.delete(1);
  await wipe(rig.paths[0]);
  await (await rig.start()).again();
  expect(await labelOf(rig.paths[0])).toBe(3);
});

test("with force a deleted disk is a new one as it is, also when its agent dies before the label is written", async () => {
  const rig = await registerRig();
  const first = await rig.start();
  await first.again();
  await first.exports.stopAll();
  rig.manager.disks.delete(1);
  const second = await rig.start({ force: true });
  await second.again();
  expect(await labelOf(rig.paths[0])).toBe(3);
  expect(rig.count(/disk-a was deleted from the cluster \(pdsk-00000001\); .*new pdsk-00000003/)).toBe(1);
  await second.exports.stopAll();

  // As it is if it dies then: the manager has given 4, the label still says 3.
  rig.manager.disks.delete(3);
  const third = await rig.start({ force: true });
  vi.spyOn(third.inventory, "adopt").mockRejectedValueOnce(new Error("it dies"));
  await third.again();
  expect(await labelOf(rig.paths[0])).toBe(3);
  expect([...rig.manager.disks.keys()].sort()).toEqual([2, 4]);
  const fourth = await rig.start({ force: true });
  await fourth.again();
  expect(await labelOf(rig.paths[0])).toBe(4);
  expect([...rig.manager.disks.keys()].sort()).toEqual([2, 4]);
});

test("a disk whose shreds do not end is not offered as a new one", async () => {
  const rig = await registerRig();
  const { again, endShreds } = await rig.start({ force: true });
  await again();
  rig.manager.disks.delete(1);
  endShreds.mockRejectedValue(new Error("the shreds do not end"));
  await again();
  await wipe(rig.paths[0]);
  await again();
  expect([...rig.manager.disks.keys()]).toEqual([2]);
  expect(rig.count(/disk-a can't be used now: the shreds do not end/)).toBe(1);
  endShreds.mockResolvedValue(undefined);
  await again();
  expect(await labelOf(rig.paths[0])).toBe(3);
});

test("a disk that the manager knows again is served again under its id", async () => {
  const rig = await registerRig();
  const { again } = await rig.start();
  await again();
  rig.manager.disks.delete(1);
  await again();
  rig.manager.disks.set(1, rig.paths[0]);
  await again();
  expect(lives(await pidOfExport(rig, 1))).toBe(true);
  expect(await labelOf(rig.paths[0])).toBe(1);
});

test("a blank disk where one of ours was is not taken for it, with force neither, as long as the manager knows that one", async () => {
  const rig = await registerRig();
  const first = await rig.start();
  await first.again();
  await wipe(rig.paths[0]);
  await first.again();
  await first.again();
  expect(rig.count(/disk-a was pdsk-00000001 .*delete pdsk-00000001.*another path/)).toBe(1);
  await first.exports.stopAll();
  await (await rig.start({ force: true })).again();
  expect(await labelOf(rig.paths[0])).toBeUndefined();
  expect([...rig.manager.disks.keys()]).toEqual([1, 2]);
});
