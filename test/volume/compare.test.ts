import { expect, test } from "vitest";
import { MIB, REGION_BYTES } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { Rig } from "./rig.js";

const compare = (rig: Rig, regions: readonly number[]) =>
  rig.control("compareRegions", { mirrorid: rig.mirrorid(0), regions });

test("a byte that changed on one disk is found with its place, and those that agree stand together", async () => {
  const rig = await Rig.create({ memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  await client.write(2 * REGION_BYTES, randomData("data", 4 * MIB));
  await client.flush();
  expect(await compare(rig, [0, 2, 63])).toEqual([]);

  const byte = 3 * MIB + 77_777;
  const there = rig.peek(0, 1, 2 * REGION_BYTES + byte, 1);
  rig.poke(0, 1, 2 * REGION_BYTES + byte, Buffer.from([(there[0] ?? 0) ^ 0x80]));
  const [a, b, c] = [0, 1, 2].map((disk) => rig.dextid(0, disk));
  expect(await compare(rig, [0, 2, 63])).toEqual([{ region: 2, byte, copies: [[a, c], [b]] }]);
  await expect(compare(rig, [64])).rejects.toThrow("EINVAL");
});

test("a region that is written all the time is equal in each comparison", async () => {
  const rig = await Rig.create({ memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  const patterns = ["one", "other"].map((name) => randomData(name, MIB));
  let isDone = false;
  const write = async (place: number): Promise<void> => {
    for (let turn = 0; !isDone; turn += 1) {
      const at = place + (turn % 8) * MIB;
      await client.write(at, patterns[Math.floor(turn / 8) % 2] as Buffer);
      if (turn % 20 === 0) await client.trim(at + 4096, MIB / 2);
    }
  };
  // The second begins within a chunk, and crosses the others.
  const writers = [0, 6 * MIB + 512].map(write);
  try {
    for (let round = 0; round < 8; round += 1) expect(await compare(rig, [0])).toEqual([]);
  } finally {
    isDone = true;
    await Promise.all(writers);
  }
});

test("what a dropped member missed is no difference, and a member that can't be read makes it wait", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("before", MIB));
  await rig.disk(2).kill();
  await expect(compare(rig, [0])).rejects.toThrow("EAGAIN");
  // The member misses this, and is no more INSYNC when it is acknowledged.
  await client.write(0, randomData("after", MIB));
  expect(await compare(rig, [0])).toEqual([]);
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(2);
});
