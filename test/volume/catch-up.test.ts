import { expect, test } from "vitest";
import { SLOT_DISTANCE, slotBytes } from "../../agents/head/nbd/member-record.js";
import { MemberStatus } from "../../shared/states.js";
import { extentPlace, MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { Rig } from "./rig.js";

/** Rule R7: what a member that comes back is given, whatever happened while it was away. */

const REGION = 16 * MIB;
const SIZE = 64 * 1024;
const ALL = [0, 1, 2];

/** Writes to a region what a member that is away lacks. */
async function change(rig: Rig, region: number, name: string): Promise<Buffer> {
  const client = await rig.open();
  const data = randomData(name, SIZE);
  await client.write(region * REGION, data);
  await client.close();
  return data;
}

function expectEverywhere(rig: Rig, region: number, data: Buffer): void {
  for (const disk of ALL) {
    const isThere = rig.peek(0, disk, region * REGION, SIZE).equals(data);
    expect(isThere, `region ${region} on disk ${disk}`).toBe(true);
  }
}

async function crashHead(rig: Rig): Promise<void> {
  await rig.volume?.kill();
  await rig.attach();
}

test("a member that was away during two generations is given what was written in both, also by a head that started since", async () => {
  const rig = await Rig.create();
  await rig.attach();
  await rig.disk(2).kill();
  const first = await change(rig, 3, "first");
  await rig.disk(1).kill();
  const second = await change(rig, 7, "second");
  await crashHead(rig);
  const third = await change(rig, 9, "third");
  for (const disk of [1, 2]) {
    await rig.startDisk(rig.disk(disk));
    await rig.resync(0, disk);
  }
  for (const [region, data] of [
    [3, first],
    [7, second],
    [9, third],
  ] as const)
    expectEverywhere(rig, region, data);
  // Nobody needed everything.
  expect(Math.max(...(await rig.chunksCopied(2)))).toBeLessThanOrEqual(3 * 16);
});

test("a member that is dropped twice, with a crash of the head in between, lacks nothing in the end", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const before = await change(rig, 1, "before");
  await rig.disk(1).kill();
  const first = await change(rig, 3, "first");
  await crashHead(rig);
  await rig.startDisk(rig.disk(1));
  await rig.resync(0, 1);
  await rig.disk(1).kill();
  const second = await change(rig, 5, "second");
  await crashHead(rig);
  const third = await change(rig, 3, "third, where the first was");
  expect(third.equals(first)).toBe(false);
  await rig.startDisk(rig.disk(1));
  await rig.resync(0, 1);
  for (const [region, data] of [
    [1, before],
    [5, second],
    [3, third],
  ] as const)
    expectEverywhere(rig, region, data);
});

test("what only the dropped member has is overwritten when it comes back", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const data = await change(rig, 2, "everywhere");
  await rig.disk(1).kill();
  // Of a write that was never acknowledged, in a region that nobody has written since.
  rig.poke(0, 1, 2 * REGION, randomData("only there", SIZE));
  await change(rig, 6, "drops it");
  await crashHead(rig);
  await rig.startDisk(rig.disk(1));
  await rig.resync(0, 1);
  expectEverywhere(rig, 2, data);
});

test("a member whose record is torn in both slots is given everything; torn in one, what it lacks", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const { start, dataStart } = extentPlace(0, 1);
  const tear = (slot: number): void =>
    rig.poke(0, 1, start - dataStart + slot * SLOT_DISTANCE + slotBytes(1) / 2, randomData(`${slot}`, 100));
  for (const slots of [[0, 1], [0], [1]]) {
    const data = await change(rig, 2, `everywhere ${slots}`);
    await rig.disk(1).kill();
    const missed = await change(rig, 6, `missed ${slots}`);
    // Where all have it: only a full copy repairs that.
    if (slots.length === 2) rig.poke(0, 1, 40 * REGION, randomData("rotten", SIZE));
    for (const slot of slots) tear(slot);
    await rig.startDisk(rig.disk(1));
    await rig.resync(0, 1);
    expectEverywhere(rig, 2, data);
    expectEverywhere(rig, 6, missed);
    expectEverywhere(rig, 40, Buffer.alloc(SIZE));
  }
  expect((await rig.chunksCopied(3))[0]).toBe(64 * 16);
});

test("a copy that comes back after its mirror was whole without it is given everything, and is the source of nothing", async () => {
  const rig = await Rig.create({ disks: 4 });
  await rig.attach();
  const members = rig.manager.mirrors.get(rig.mirrorid(0))?.members;
  await rig.disk(1).kill();
  const missed = await change(rig, 3, "missed");
  members?.set(rig.dextid(0, 3), MemberStatus.SPARE);
  await rig.resync(0, 3, rig.extent(0, 1, MemberStatus.SPARE));
  members?.delete(rig.dextid(0, 1));
  // The mirror is whole: what tells what the lost copy lacks is cleared.
  await rig.control("detach", {});
  await rig.volume?.exited;
  await rig.attach();
  await rig.startDisk(rig.disk(1));
  members?.set(rig.dextid(0, 1), MemberStatus.SPARE);
  await rig.resync(0, 1);
  expectEverywhere(rig, 3, missed);
  expect((await rig.chunksCopied(2)).at(-1)).toBe(64 * 16);
});
