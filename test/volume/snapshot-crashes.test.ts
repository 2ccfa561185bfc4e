import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData, seed } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { generator } from "./generator.js";
import { Rig } from "./rig.js";
import { expectContent, readAll, Window } from "./snapshot-window.js";

const ALL = [0, 1, 2];
const BLOCK_BYTES = 4096;
/** Slot A of the first bitmap block: the superblock is before it. */
const SLOT_A = 2 * BLOCK_BYTES;
const SLOT_B = SLOT_A + BLOCK_BYTES;

async function checksum(client: NbdClient, length: number): Promise<string> {
  return createHash("sha256")
    .update(await readAll(client, 0, length))
    .digest("hex");
}

test(`a snapshot is the same after each kill of the volume process in the middle of writes (seed ${seed})`, async () => {
  const rig = await Rig.create({ snapshots: [ALL, [1]] });
  await rig.attach();
  const window = new Window(0, 48 * MIB);
  const random = generator(seed);
  const first = await rig.open();
  await window.fill(first, "before");
  await rig.createSnapshot(0);
  const sums = [createHash("sha256").update(window.content).digest("hex")];
  for (let round = 0; round < 6; round += 1) {
    const clients = await Promise.all([rig.open(), rig.open(), rig.open()]);
    let written = 0;
    const work = async (client: NbdClient, own: (below: number) => number): Promise<void> => {
      for (;;) {
        const length = 1 + own(own(3) === 0 ? 400_000 : 9000);
        const at = own(48 * MIB - length);
        const kind = own(5);
        if (kind === 0) await client.trim(at, length);
        else if (kind === 1) await client.zero(at, length);
        else await client.write(at, randomData(`${round} ${at}`, length));
        written += 1;
      }
    };
    const workers = clients.map((client, at) =>
      work(client, generator(seed + 10 * round + at)).catch(() => undefined),
    );
    const enough = 1 + random(60);
    await waitUntil("some were written", () => written >= enough);
    if (round === 2) {
      // One that is taken in the middle of writes: what it holds is what it holds from then on.
      await rig.createSnapshot(1);
      sums.push(await checksum(await rig.openSnapshot(1), window.content.length));
    }
    await rig.volume?.kill();
    await Promise.all(workers);
    await rig.attach();
    for (const [at, sum] of sums.entries()) {
      expect(await checksum(await rig.openSnapshot(at), window.content.length)).toBe(sum);
    }
  }
  expect(rig.manager.snapshotReports).toEqual([]);
});

/** A snapshot with something kept, and its volume detached by a crash. */
async function crashedWithSnapshot(snapshots: number[][]) {
  const rig = await Rig.create({ snapshots });
  await rig.attach();
  const client = await rig.open();
  const window = new Window(0, MIB);
  await window.fill(client, "kept");
  await rig.createSnapshot(0);
  const old = Buffer.from(window.content);
  await client.write(0, randomData("one chunk", 100));
  await rig.volume?.kill();
  return { rig, old };
}

test("a table block that was torn while it was written leaves the one before", async () => {
  const { rig, old } = await crashedWithSnapshot([ALL]);
  // Slot B holds the only mark; the next write would have gone to slot A, and its origin write had to wait for it.
  for (const disk of ALL) rig.poke(rig.spaceMirror(0, 0), disk, SLOT_A, randomData("torn", BLOCK_BYTES));
  await rig.attach();
  expect(await rig.snapshotStatus(0)).toMatchObject({ state: "active", copied: 1 });
  const snapshot = await rig.openSnapshot(0);
  await expectContent(snapshot, 0, old);
  const client = await rig.open();
  await client.write(0, randomData("everything", MIB));
  await expectContent(snapshot, 0, old);
  await rig.volume?.kill();
  await rig.attach();
  await expectContent(await rig.openSnapshot(0), 0, old);
});

test("a table block without a valid slot makes its snapshot invalid, and the volume goes on", async () => {
  const { rig } = await crashedWithSnapshot([ALL]);
  for (const disk of ALL) {
    rig.poke(rig.spaceMirror(0, 0), disk, SLOT_A, randomData("a", BLOCK_BYTES));
    rig.poke(rig.spaceMirror(0, 0), disk, SLOT_B, randomData("b", BLOCK_BYTES));
  }
  await rig.attach();
  expect(await rig.snapshotStatus(0)).toMatchObject({ state: "invalid" });
  const client = await rig.open();
  await client.write(0, randomData("goes on", MIB));
  expect(rig.manager.snapshotReports).toEqual([
    { lvolid: rig.snapshotId(0), reason: "its exception table is damaged" },
  ]);
  const status = await rig.status();
  expect(status.lvolstruct.lvolspec.assoc).toEqual([]);
  await expect((await rig.openSnapshot(0)).read(0, 4096)).rejects.toThrow("errno 5");
});

test("marks without a superblock make a snapshot invalid; a table that was never finished is made anew", async () => {
  const { rig, old } = await crashedWithSnapshot([ALL]);
  for (const disk of ALL) rig.poke(rig.spaceMirror(0, 0), disk, 0, Buffer.alloc(2 * BLOCK_BYTES));
  await rig.attach();
  expect(await rig.snapshotStatus(0)).toMatchObject({ state: "invalid" });
  await rig.volume?.kill();
  const place = rig.spaceMirror(0, 0);
  for (const disk of ALL) rig.poke(place, disk, SLOT_B, Buffer.alloc(BLOCK_BYTES));
  rig.manager.snapshots.set(rig.snapshotId(0), true);
  await rig.attach();
  expect(await rig.snapshotStatus(0)).toMatchObject({ state: "active", copied: 0 });
  const changed = Buffer.from(old);
  randomData("one chunk", 100).copy(changed);
  await expectContent(await rig.openSnapshot(0), 0, changed);
});

test("a creation that is repeated after a crash takes the instant of the repetition", async () => {
  const { rig } = await crashedWithSnapshot([ALL]);
  // The manager did not hear of its success.
  rig.manager.snapshots.delete(rig.snapshotId(0));
  await rig.attach();
  const client = await rig.open();
  const zeros = Buffer.alloc(MIB);
  await client.zero(0, MIB);
  await rig.createSnapshot(0);
  await client.write(0, randomData("after", MIB));
  const snapshot = await rig.openSnapshot(0);
  await expectContent(snapshot, 0, zeros);
  await rig.volume?.kill();
  await rig.attach();
  await (await rig.open()).write(MIB, randomData("further", MIB));
  await expectContent(await rig.openSnapshot(0), 0, Buffer.alloc(2 * MIB));
});
