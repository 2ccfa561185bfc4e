import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData, seed } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { generator } from "./generator.js";
import { Rig } from "./rig.js";

const SPAN = 48 * MIB;
const BLOCK = 64 * 1024;
const BLOCKS = SPAN / BLOCK;

/** What each block holds: the one acknowledged content, or any of those of writes whose fate is unknown. */
class Model {
  readonly possible = new Map<number, Buffer[]>();
  acknowledged = 0;

  at(block: number): Buffer[] {
    return this.possible.get(block) ?? [Buffer.alloc(BLOCK)];
  }

  async write(client: NbdClient, block: number, data: Buffer): Promise<void> {
    this.possible.set(block, [...this.at(block), data]);
    await client.write(block * BLOCK, data);
    this.possible.set(block, [data]);
    this.acknowledged += 1;
  }
}

/** Writes and reads until told to stop, each worker in blocks of its own. */
async function work(client: NbdClient, model: Model, worker: number, running: () => boolean): Promise<void> {
  const random = generator(seed + worker);
  for (let turn = 0; running(); turn += 1) {
    const block = random(BLOCKS / 4) * 4 + (worker % 4);
    if (random(3) > 0) await model.write(client, block, randomData(`${worker} ${turn}`, BLOCK));
    else {
      const read = await client.read(block * BLOCK, BLOCK);
      expect(model.at(block).some((content) => content.equals(read))).toBe(true);
    }
    if (random(16) === 0) await client.flush();
  }
}

function membersAreEqual(rig: Rig): boolean {
  const first = rig.peek(0, 0, 0, SPAN);
  return [1, 2].every((disk) => rig.peek(0, disk, 0, SPAN).equals(first));
}

test(`random I/O while disks are killed, frozen and brought back (seed ${seed})`, async () => {
  const rig = await Rig.create({ memberTimeoutMs: 5_000 });
  await rig.attach();
  const client = await rig.open();
  const model = new Model();
  const random = generator(seed);
  let running = true;
  const workers = [0, 1, 2, 3].map((worker) => work(client, model, worker, () => running));
  for (let round = 0; round < 4; round += 1) {
    const victim = random(3);
    const isFrozen = random(2) === 0;
    if (isFrozen) rig.disk(victim).process?.signal("SIGSTOP");
    else await rig.disk(victim).kill();
    await waitUntil("it is out", async () => (await rig.memberState(0, victim)) === "out");
    if (isFrozen) rig.disk(victim).process?.signal("SIGCONT");
    else await rig.startDisk(rig.disk(victim));
    await rig.resync(0, victim);
  }
  running = false;
  await Promise.all(workers);
  await client.flush();
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(3);
  expect(membersAreEqual(rig)).toBe(true);
  for (const [block, [content]] of model.possible) {
    expect(rig.peek(0, 0, block * BLOCK, BLOCK).equals(content ?? Buffer.alloc(0))).toBe(true);
  }
});

test(`the volume process is killed in the middle of writes: the next makes the members equal (seed ${seed})`, async () => {
  const rig = await Rig.create();
  const model = new Model();
  for (let round = 0; round < 3; round += 1) {
    await rig.attach();
    const client = await rig.open();
    expect(membersAreEqual(rig)).toBe(true);
    for (let block = 0; block < BLOCKS; block += 7) {
      const read = await client.read(block * BLOCK, BLOCK);
      expect(model.at(block).some((content) => content.equals(read))).toBe(true);
      model.possible.set(block, [read]);
    }
    const before = model.acknowledged;
    const workers = [0, 1, 2, 3].map((worker) =>
      work(client, model, worker + 4 * round, () => true).catch(() => undefined),
    );
    await waitUntil("some blocks were written", () => model.acknowledged > before + 40);
    await rig.volume?.kill();
    await Promise.all(workers);
  }
});
