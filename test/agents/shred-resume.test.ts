import { pino } from "pino";
import { expect, test } from "vitest";
import { Events } from "../../agents/common/events.js";
import { DiskReaders } from "../../agents/storage/disk-readers.js";
import { createStorageMethods } from "../../agents/storage/methods.js";
import type { Shredder, ShredJob } from "../../agents/storage/shred.js";
import { systemClock } from "../../shared/clock.js";
import { errorRegistry } from "../../shared/errors.js";
import { EventStatus } from "../../shared/states.js";
import { EXTENT_UNIT_BYTES } from "../../shared/units.js";
import { bytesAt, openFile, shredRig, writeSevens } from "./shred-rig.js";

const WHOLE = { pdskid: 1, offset: 0, capacity: 9, generation: 4 };
/** Places in the stretches of 4, 4 and 1 GB that a shred of 9 GB has: two in the first, one in each other. */
const PLACES = [0, 1, 5, 8].map((gigabyte) => gigabyte * EXTENT_UNIT_BYTES + 99);

/** Each look finds that a minute has gone by, so that each stretch is written down. */
function hastyClock() {
  let now = 0;
  return {
    monotonic: () => {
      now += 60_000;
      return now;
    },
  };
}

/** Stops a shredder when the first stretch is zero. */
async function stopHalfway(shredder: Shredder, { onProgress, done }: ShredJob): Promise<void> {
  const ended = expect(done).rejects.toMatchObject({ errno: "EAGAIN" });
  await new Promise<void>((resolve) => {
    onProgress((percent) => {
      if (percent < 40) return;
      resolve();
      void shredder.stop();
    });
  });
  await ended;
}

test("a shred that was interrupted goes on behind what it had written down", async () => {
  const rig = await shredRig({ gigabytes: 9, sevens: PLACES, clock: hastyClock() });
  await stopHalfway(rig.shredder, await rig.shredder.begin(WHOLE));
  expect(rig.shredder.status(WHOLE)).toMatchObject({
    status: EventStatus.ERROR,
    result: errorRegistry.EAGAIN.code,
  });
  const { shredder } = await rig.load();
  expect(shredder.status(WHOLE).status).toBe(EventStatus.NONE);
  // Nobody writes there in truth: these bytes show what is zeroed again.
  await writeSevens(rig.path, PLACES);
  await (await shredder.begin(WHOLE)).done;
  expect(await bytesAt(rig.path, PLACES)).toEqual([7, 7, 0, 0]);
  expect(shredder.status(WHOLE).status).toBe(EventStatus.DONE);
});

test("what an earlier generation had zeroed is zeroed again, and so is what was granted in between", async () => {
  const rig = await shredRig({ gigabytes: 9, sevens: PLACES, clock: hastyClock() });
  await stopHalfway(rig.shredder, await rig.shredder.begin(WHOLE));
  const { grants, shredder } = await rig.load();
  const extents = [{ ...WHOLE, offset: 1, capacity: 1, dextid: 9 }];
  await grants.grant({ lvolid: 1, epoch: 1, hsvrid: 1, version: 1, extents });
  await grants.revoke(1, 1);
  await writeSevens(rig.path, PLACES);
  await (await shredder.begin(WHOLE)).done;
  expect(await bytesAt(rig.path, PLACES)).toEqual([7, 0, 0, 0]);
  await (await shredder.begin({ ...WHOLE, generation: 5 })).done;
  expect(await bytesAt(rig.path, PLACES)).toEqual([0, 0, 0, 0]);
});

test("a shred is not done before fdatasync is, and once done it is not done again", async () => {
  let isDurable: () => void = () => undefined;
  const durable = new Promise<void>((resolve) => {
    isDurable = resolve;
  });
  let opened = 0;
  const { shredder, grants } = await shredRig({
    open: async (path) => {
      opened += 1;
      const disk = await openFile(path);
      disk.handle.datasync = () => durable;
      return disk;
    },
  });
  const target = { ...WHOLE, capacity: 3 };
  const { onProgress, done } = await shredder.begin(target);
  await new Promise<void>((resolve) => onProgress((percent) => percent === 99 && resolve()));
  expect([shredder.status(target).status, grants.isShredded(target)]).toEqual([EventStatus.PROGRESS, false]);
  isDurable();
  await done;
  await (await shredder.begin(target)).done;
  expect([shredder.status(target).status, opened]).toEqual([EventStatus.DONE, 1]);
});

test("the result of a shred goes by place and generation, also when its event id is used again", async () => {
  const { shredder, grants } = await shredRig();
  const log = pino({ level: "silent" });
  const inventory = { states: () => [] };
  const readers = new DiskReaders({
    served: () => [],
    cluster: () => undefined,
    entry: "",
    bytesPerSecond: 0,
    clock: systemClock,
  });
  const services = { inventory, grants, shredder, readers, events: new Events(log), log };
  const methods = createStorageMethods(services);
  const one = { ver: 5, dextid: 1, pdskid: 1, offset: 0, capacity: 1, generation: 1 };
  const two = { ...one, dextid: 2, offset: 1, generation: 2 };
  for (const place of [one, two]) {
    await methods.registerShredRequest({ eventid: 77, ...place });
    await methods.waitEvent({ eventid: 77, timeout_ms: 60_000 });
  }
  for (const place of [one, two]) {
    expect((await methods.getShredStatus(place)).status).toBe(EventStatus.DONE);
    expect((await methods.getShredStatus({ ...place, generation: 3 })).status).toBe(EventStatus.NONE);
  }
  await expect(methods.registerShredRequest({ eventid: 78, ...two, generation: 1 })).rejects.toMatchObject({
    errno: "ESTALE",
  });
});

test("a verified shred fails if the disk does not keep the zeros, and names the first byte", async () => {
  const open = async (path: string) => {
    const disk = await openFile(path);
    // The disk forgets two writes once it said that they are durable.
    disk.handle.datasync = () => writeSevens(path, [PLACES[0] ?? 0, EXTENT_UNIT_BYTES * 2]);
    return disk;
  };
  const target = { ...WHOLE, capacity: 3 };
  const trusting = await shredRig({ open });
  await (await trusting.shredder.begin(target)).done;
  const { shredder } = await shredRig({ open, verify: true });
  await expect((await shredder.begin(target)).done).rejects.toMatchObject({
    errno: "EIO",
    sentence: expect.stringContaining(`byte ${PLACES[0]} `),
  });
  expect(shredder.status(target)).toMatchObject({
    status: EventStatus.ERROR,
    result: errorRegistry.EIO.code,
  });
});

const failing = (code: string) => async (): Promise<never> => {
  throw Object.assign(new Error(`${code} it is`), { code });
};

test.each([
  ["its disk fails", { open: failing("EIO") }, "EIO"],
  ["its disk is gone", { open: failing("ENXIO") }, "EIO"],
  ["there is no room to write", { open: failing("ENOSPC") }, "ENOSPC"],
  ["its disk is another one now", { open: failing("ENOENT") }, "EAGAIN"],
  ["the agent's own disk fails", { recordTool: failing("EIO") }, "EAGAIN"],
  ["the export does not obey", { drain: failing("EIO") }, "EAGAIN"],
] as const)("a shred that fails because %s tells that apart", async (_why, options, errno) => {
  const { shredder } = await shredRig(options);
  const target = { ...WHOLE, capacity: 1 };
  await expect((await shredder.begin(target)).done).rejects.toMatchObject({ errno });
  expect(shredder.status(target)).toMatchObject({
    status: EventStatus.ERROR,
    result: errorRegistry[errno].code,
  });
});
