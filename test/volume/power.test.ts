import { expect, test } from "vitest";
import { decodeRecord, SLOT_DISTANCE, slotBytes } from "../../agents/head/nbd/member-record.js";
import { extentPlace, MIB } from "../../shared/units.js";
import { randomData, seed } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { generator } from "./generator.js";
import { PowerLife } from "./power-life.js";
import { LVOLID, Rig } from "./rig.js";

const runs = Number(process.env.VAS_RUNS ?? 30);
const only = process.env.VAS_RUN === undefined ? undefined : Number(process.env.VAS_RUN);
/** So many runs have one volume, after which there is a new one. */
const RUNS_OF_A_LIFE = 15;

const lives = Array.from({ length: Math.ceil(runs / RUNS_OF_A_LIFE) }, (_, life) => life);

test.each(lives.filter((life) => (only ?? life) === life))(
  `life %i of a volume whose servers lose power: what was flushed is there (R5, R6; seed ${seed})`,
  async (number) => {
    const life = await PowerLife.create();
    for (let run = 0; run < RUNS_OF_A_LIFE; run += 1) {
      try {
        await life.run(seed + 1000 * number + run);
      } catch (error) {
        process.stderr.write(`VAS_SEED=${seed} VAS_RUN=${number}, step ${run}:\n${life.steps.join("\n")}\n`);
        throw error;
      }
    }
  },
);

const REGION = 16 * MIB;
/** Enough to be copied for a while. */
const REGIONS = 48;

test("a server that loses power while its member is the source of a recovery: all members are equal afterwards (R5, R8)", async () => {
  const rig = await Rig.create({ losesPower: true, memberTimeoutMs: 20_000 });
  await rig.attach();
  const client = await rig.open();
  for (let region = 0; region < REGIONS; region += 1)
    await client.write(region * REGION, randomData(`${region}`, 4096));
  await rig.volume?.kill();
  // As a write that was under way would leave them; it is gone when the recovery has been there.
  for (const disk of [1, 2]) rig.poke(0, disk, 8192, randomData("under way", 4096));
  rig.launch();
  await waitUntil("the first region is copied", () => rig.peek(0, 1, 8192, 4096).equals(Buffer.alloc(4096)));
  await rig.disk(0).cutPower(generator(seed), "nothing was kept");
  await rig.startDisk(rig.disk(0));
  await waitUntil("the volume is served", async () => (await rig.status()).state === "serving");

  const insync = [0, 1, 2].filter((disk) =>
    rig.manager.insync(rig.mirrorid(0)).includes(rig.dextid(0, disk)),
  );
  for (let region = 0; region < REGIONS; region += 1) {
    const [first, ...others] = insync.map((disk) => rig.peek(0, disk, region * REGION, 4096));
    for (const other of others) expect(other.equals(first ?? other), `region ${region}`).toBe(true);
  }
});

/** All lose power with the head. Disk 0 has kept all data, and the others none; nobody keeps a record that it need not. */
async function loseDifferently(rig: Rig): Promise<void> {
  await rig.volume?.kill();
  const { dataStart } = extentPlace(0, 1);
  for (const [index, disk] of rig.disks.entries()) {
    await disk.cutPower(generator(seed), (offset) => index === 0 && offset >= dataStart);
    await rig.startDisk(disk);
  }
  await rig.attach();
}

test("a region's bit is durable before data is sent there: what differs after a loss of power is made equal (R6)", async () => {
  const rig = await Rig.create({ losesPower: true });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("first", 4096));
  await client.flush();
  await client.write(REGION, randomData("second", 4096));
  await loseDifferently(rig);
  const kept = rig.peek(0, 0, REGION, 4096);
  for (const disk of [1, 2]) expect(rig.peek(0, disk, REGION, 4096).equals(kept)).toBe(true);
});

test("a bit is cleared only when what was written to its region is durable (R6)", async () => {
  const rig = await Rig.create({ losesPower: true });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("data", 4096));
  await waitUntil("the bits are cleared", () =>
    [0, 1, 2].every((disk) => bitsOf(rig, disk)?.every((byte) => byte === 0)),
  );
  await loseDifferently(rig);
  for (const disk of [0, 1, 2])
    expect(rig.peek(0, disk, 0, 4096).equals(randomData("data", 4096))).toBe(true);
});

/** All lose power with the head, and with that all that was not durable. */
async function loseEverything(rig: Rig): Promise<void> {
  await rig.volume?.kill();
  for (const disk of rig.disks) {
    await disk.cutPower(generator(seed), "nothing was kept");
    await rig.startDisk(disk);
  }
  await rig.attach();
}

test("what a head finds after a crash and serves is durable: a loss of power right after takes nothing back (R5, R8)", async () => {
  const rig = await Rig.create({ losesPower: true });
  await rig.attach();
  const data = randomData("not flushed", 4096);
  await (await rig.open()).write(0, data);
  await rig.volume?.kill();
  await rig.attach();
  expect((await (await rig.open()).read(0, 4096)).equals(data)).toBe(true);
  await loseEverything(rig);
  expect((await (await rig.open()).read(0, 4096)).equals(data)).toBe(true);
});

test("what was copied to a member is durable when it joins (R5, R7)", async () => {
  const rig = await Rig.create({ losesPower: true });
  await rig.attach();
  const client = await rig.open();
  await rig.disk(0).kill();
  const data = randomData("missed and flushed", 4096);
  await client.write(0, data);
  await client.flush();
  await rig.startDisk(rig.disk(0));
  await rig.resync(0, 0);
  await loseEverything(rig);
  expect((await (await rig.open()).read(0, 4096)).equals(data)).toBe(true);
  for (const disk of [0, 1, 2]) expect(rig.peek(0, disk, 0, 4096).equals(data)).toBe(true);
});

/** The write-intent bitmap on a disk. */
function bitsOf(rig: Rig, disk: number): Uint8Array | undefined {
  const owner = {
    lvolid: LVOLID,
    mirrorid: rig.mirrorid(0),
    dextid: rig.dextid(0, disk),
    extentGeneration: 1,
  };
  const { start, dataStart } = extentPlace(0, 1);
  const slot = (index: number): Buffer =>
    rig.peek(0, disk, start - dataStart + index * SLOT_DISTANCE, slotBytes(1));
  return decodeRecord(owner, [slot(0), slot(1)], 1)?.bits;
}
