import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import type { OpenDisk } from "../../agents/storage/disks.js";
import { EventStatus } from "../../shared/states.js";
import { EXTENT_UNIT_BYTES, MIB } from "../../shared/units.js";
import { bytesAt, openFile, shredRig } from "./shred-rig.js";

const MIDDLE = { pdskid: 1, offset: 1, capacity: 1, generation: 4 };
/** Places with data: the ends of the second gigabyte, its inside, and its neighbours. */
const INSIDE = [EXTENT_UNIT_BYTES, 2 * EXTENT_UNIT_BYTES - 1, EXTENT_UNIT_BYTES + 500 * MIB];
const OUTSIDE = [EXTENT_UNIT_BYTES - 1, 2 * EXTENT_UNIT_BYTES];

const setUp = (open?: (path: string) => Promise<OpenDisk>) =>
  shredRig({ sevens: [...INSIDE, ...OUTSIDE], ...(open === undefined ? {} : { open }) });

test("a shred leaves zeros on all of its place, touches nothing else, and is known after a restart", async () => {
  const { path, shredder, load } = await setUp();
  expect(shredder.status(MIDDLE).status).toBe(EventStatus.NONE);
  await (await shredder.begin(MIDDLE)).done;
  expect(await bytesAt(path, INSIDE)).toEqual([0, 0, 0]);
  expect(await bytesAt(path, OUTSIDE)).toEqual([7, 7]);
  for (const now of [shredder, (await load()).shredder]) {
    expect(now.status(MIDDLE)).toMatchObject({ status: EventStatus.DONE, progress: 100 });
    expect(now.status({ ...MIDDLE, generation: 5 }).status).toBe(EventStatus.NONE);
    expect(now.status({ ...MIDDLE, offset: 0, capacity: 2 }).status).toBe(EventStatus.NONE);
  }
});

test("space that is granted is not shredded, and space that is being shredded is not granted", async () => {
  const { path, grants, shredder } = await setUp();
  const grant = { lvolid: 1, epoch: 1, hsvrid: 1, version: 1, extents: [{ ...MIDDLE, dextid: 9 }] };
  await grants.grant(grant);
  await expect(shredder.begin({ ...MIDDLE, generation: 5 })).rejects.toMatchObject({ errno: "EBUSY" });
  expect(await bytesAt(path, INSIDE)).toEqual([7, 7, 7]);
  await grants.revoke(1, 1);
  const shred = await shredder.begin({ ...MIDDLE, generation: 5 });
  const again = { ...grant, epoch: 2, extents: [{ ...MIDDLE, dextid: 9, generation: 6 }] };
  await expect(grants.grant(again)).rejects.toMatchObject({ errno: "EBUSY" });
  await shred.done;
  await grants.grant(again);
  expect(shredder.status({ ...MIDDLE, generation: 5 }).status).toBe(EventStatus.NONE);
});

test("a shred of a past generation is refused, and the same one twice is done once", async () => {
  const { shredder } = await setUp();
  const [one, two] = await Promise.all([shredder.begin(MIDDLE), shredder.begin(MIDDLE)]);
  expect(one).toBe(two);
  await one.done;
  await expect(shredder.begin({ ...MIDDLE, generation: 3 })).rejects.toMatchObject({ errno: "ESTALE" });
  await (await shredder.begin(MIDDLE)).done;
});

test("a shred that fails says why, is not taken for done, and can be begun again", async () => {
  let isBroken = true;
  const { shredder } = await setUp(async (path) => {
    if (isBroken) throw Object.assign(new Error("the disk is broken"), { code: "EIO" });
    return openFile(path);
  });
  await expect((await shredder.begin(MIDDLE)).done).rejects.toMatchObject({ errno: "EIO" });
  expect(shredder.status(MIDDLE)).toMatchObject({
    status: EventStatus.ERROR,
    sentence: expect.stringContaining("disk is broken"),
  });
  isBroken = false;
  await (await shredder.begin(MIDDLE)).done;
  expect(shredder.status(MIDDLE).status).toBe(EventStatus.DONE);
});

test("a shred that is stopped is forgotten after a restart, and its space can be granted and shredded again", async () => {
  const { shredder, load } = await setUp();
  const { done } = await shredder.begin(MIDDLE);
  const ended = expect(done).rejects.toThrow(/stops/);
  await shredder.stop();
  await ended;
  const { shredder: next } = await load();
  expect(next.status(MIDDLE).status).toBe(EventStatus.NONE);
  await (await next.begin(MIDDLE)).done;
});

test("the shreds of a disk that is served no more are over when their end is, and can be begun when it is served again", async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { path, grants, shredder } = await setUp(async (disk) => {
    await opened;
    return openFile(disk);
  });
  const jobs = [await shredder.begin(MIDDLE), await shredder.begin({ ...MIDDLE, offset: 2 })];
  const order: string[] = [];
  const note = (what: string) => (): void => void order.push(what);
  for (const { done } of jobs) void done.catch(note("a shred"));
  const failures = jobs.map(({ done }) => expect(done).rejects.toThrow());
  await grants.removeDisk(1);
  const ending = shredder.end(1).then(note("the end"));
  // One that did not wait would be over now: it has nothing else to wait for.
  await nextTurn();
  open();
  await Promise.all([...failures, ending]);
  expect(order).toEqual(["a shred", "a shred", "the end"]);
  expect(await bytesAt(path, INSIDE)).toEqual([7, 7, 7]);
  await expect(shredder.begin(MIDDLE)).rejects.toMatchObject({ errno: "ENOENT" });
  await grants.addDisk(1, 3);
  await (await shredder.begin(MIDDLE)).done;
  expect(await bytesAt(path, INSIDE)).toEqual([0, 0, 0]);
});
