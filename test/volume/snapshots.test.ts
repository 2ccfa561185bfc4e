import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { GIB, MIB } from "../../shared/units.js";
import { randomData, seed } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { generator } from "./generator.js";
import { Rig } from "./rig.js";
import { expectContent, Window } from "./snapshot-window.js";

const CHUNK = 16 * 1024;
const CHUNKS = GIB / CHUNK;
const ALL = [0, 1, 2];

test(`a snapshot keeps its content whatever is written, trimmed and zeroed afterwards (seed ${seed})`, async () => {
  const rig = await Rig.create({ mirrors: 2, snapshots: [ALL], memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  const windows = [
    new Window(0, 8 * MIB),
    new Window(GIB - 4 * MIB, 8 * MIB),
    new Window(2 * GIB - 4 * MIB, 4 * MIB),
  ];
  for (const window of windows) await window.fill(client, `fill ${window.start}`);
  await rig.createSnapshot(0);
  const old = windows.map(({ content }) => Buffer.from(content));
  const snapshot = await rig.openSnapshot(0);
  expect(snapshot.size).toBe(2 * GIB);
  const random = generator(seed);
  for (const longest of [700, CHUNK, 3 * CHUNK, 3 * MIB]) {
    for (let turn = 0; turn < 24; turn += 1) {
      await Promise.all(windows.map((window) => window.change(client, random, longest)));
    }
    for (const [at, window] of windows.entries()) {
      await expectContent(snapshot, window.start, old[at] ?? Buffer.alloc(0));
      await expectContent(client, window.start, window.content);
    }
  }
  await client.trim(3 * CHUNK + 5, 2 * GIB - 4 * CHUNK);
  for (const [at, window] of windows.entries()) {
    await expectContent(snapshot, window.start, old[at] ?? Buffer.alloc(0));
  }
  expect((await client.read(GIB - MIB, 2 * MIB)).equals(Buffer.alloc(2 * MIB))).toBe(true);
  const status = await rig.status();
  expect(status.lvolstruct.lvolspec.assoc).toHaveLength(1);
  expect(status.snapshots).toMatchObject([{ lvolid: rig.snapshotId(0), state: "active", clients: 1 }]);
  expect(status.mirrors).toHaveLength(2 + 3);
});

test(`several snapshots each hold the volume at their own instant (seed ${seed})`, async () => {
  const rig = await Rig.create({ snapshots: [ALL, [0, 1], [2]], memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  const window = new Window(5 * MIB, 6 * MIB);
  await window.fill(client, "first");
  const random = generator(seed);
  const held: Buffer[] = [];
  for (const snapshot of [0, 1, 2]) {
    await rig.createSnapshot(snapshot);
    held.push(Buffer.from(window.content));
    for (let turn = 0; turn < 40; turn += 1) await window.change(client, random, MIB);
  }
  const check = async (from: number): Promise<void> => {
    for (const [at, content] of held.entries()) {
      if (at < from) continue;
      const snapshot = await rig.openSnapshot(at);
      await expectContent(snapshot, window.start, content);
      await snapshot.close();
    }
  };
  await check(0);
  await waitUntil("nobody reads", async () => (await rig.snapshotStatus(0))?.clients === 0);
  await rig.deleteSnapshot(0);
  for (let turn = 0; turn < 40; turn += 1) await window.change(client, random, MIB);
  await check(1);
  await expectContent(client, window.start, window.content);
});

test("reads of a snapshot that cross the first writes to the same chunks see the old content", async () => {
  const rig = await Rig.create({ snapshots: [ALL, [0]], memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  const window = new Window(0, 24 * MIB);
  await window.fill(client, "old");
  for (const taken of [0, 1]) {
    await rig.createSnapshot(taken);
    const old = Buffer.from(window.content);
    const snapshot = await rig.openSnapshot(taken);
    let front = 0;
    const reader = async (ahead: number): Promise<void> => {
      while (front < window.content.length) {
        const at = Math.min(Math.max(0, front + ahead), window.content.length - 9 * CHUNK);
        const read = await snapshot.read(at + 100, 8 * CHUNK);
        expect(read.equals(old.subarray(at + 100, at + 100 + 8 * CHUNK))).toBe(true);
      }
    };
    const writer = async (): Promise<void> => {
      while (front < window.content.length) {
        const at = front;
        front += 2 * CHUNK;
        const data = randomData(`${taken} ${at}`, CHUNK + 512);
        data.copy(window.content, at);
        await client.write(at, data);
      }
    };
    await Promise.all([
      reader(-4 * CHUNK),
      reader(0),
      reader(-CHUNK),
      reader(2 * CHUNK),
      writer(),
      writer(),
      writer(),
    ]);
    await expectContent(snapshot, 0, old);
  }
  await expectContent(client, 0, window.content);
});

/** One numbered write: its place in the order of all events, and whether a snapshot holds it. */
interface Numbered {
  readonly offset: number;
  readonly data: Buffer;
  issued: number;
  acknowledged: number;
}

test("a snapshot is one instant of the whole volume: all that was answered, nothing that came later, no gap", async () => {
  const rig = await Rig.create({ mirrors: 2, snapshots: [ALL, [0, 1], [1]], memberTimeoutMs: 60_000 });
  await rig.attach();
  let events = 0;
  let running = true;
  const writes: Numbered[][] = [];
  const writeLog = async (writer: number): Promise<void> => {
    const client = await rig.open();
    const own: Numbered[] = [];
    writes[writer] = own;
    for (let turn = 0; running; turn += 1) {
      // Each writer has a log of its own; every second one lies in the other mirror.
      const offset = (writer % 2) * GIB + writer * 64 * MIB + turn * 8192;
      const data = randomData(`${writer} ${turn}`, 8192);
      const numbered: Numbered = { offset, data, issued: events++, acknowledged: Number.POSITIVE_INFINITY };
      own.push(numbered);
      await client.write(offset, data);
      numbered.acknowledged = events++;
    }
    await client.close();
  };
  const border = await rig.open();
  const writeBorder = async (): Promise<void> => {
    for (let turn = 1; running; turn += 1) {
      const half = randomData(`border ${turn}`, 4096);
      await border.write(GIB - 4096, Buffer.concat([half, half]));
    }
  };
  const workers = [0, 1, 2, 3, 4, 5].map(writeLog);
  const borderWorker = writeBorder();
  const instants: { readonly called: number; readonly returned: number }[] = [];
  for (const snapshot of [0, 1, 2]) {
    const before = events;
    await waitUntil("some were written", () => events > before + 120);
    const called = events++;
    await rig.createSnapshot(snapshot);
    instants.push({ called, returned: events++ });
  }
  const end = events;
  await waitUntil("some more were written", () => events > end + 120);
  running = false;
  await Promise.all([...workers, borderWorker]);
  for (const [at, { called, returned }] of instants.entries()) {
    const snapshot = await rig.openSnapshot(at);
    let newestHeld = -1;
    let firstAckOfMissing = Number.POSITIVE_INFINITY;
    for (const own of writes) {
      let hasGap = false;
      for (const { offset, data, issued, acknowledged } of own) {
        const read = await snapshot.read(offset, data.length);
        const isHeld = read.equals(data);
        if (!isHeld) expect(read.equals(Buffer.alloc(data.length))).toBe(true);
        if (acknowledged < called) expect(isHeld).toBe(true);
        if (issued > returned) expect(isHeld).toBe(false);
        if (isHeld) {
          expect(hasGap).toBe(false);
          newestHeld = Math.max(newestHeld, issued);
        } else {
          hasGap = true;
          firstAckOfMissing = Math.min(firstAckOfMissing, acknowledged);
        }
      }
    }
    // Had one that is missing been answered before one that is held was given, there would be no such instant.
    expect(firstAckOfMissing).toBeGreaterThan(newestHeld);
    // A write across the border of two mirrors is there as a whole or not at all.
    const pair = await snapshot.read(GIB - 4096, 8192);
    expect(pair.subarray(0, 4096).equals(pair.subarray(4096))).toBe(true);
    await snapshot.close();
  }
});

test("a snapshot outlives a detach, a resync of its volume and one of its copy-on-write space", async () => {
  const rig = await Rig.create({ snapshots: [ALL] });
  await rig.attach();
  const client = await rig.open();
  const window = new Window(3 * MIB, 4 * MIB);
  await window.fill(client, "kept");
  await rig.createSnapshot(0);
  const old = Buffer.from(window.content);
  const random = generator(seed);
  const step = async (): Promise<void> => {
    for (let turn = 0; turn < 8; turn += 1) await window.change(client, random, 200_000);
  };
  await step();
  await rig.disk(1).kill();
  await step();
  const mirrors = [0, rig.spaceMirror(0, 0)];
  for (const mirror of mirrors) {
    await waitUntil("it is out", async () => (await rig.memberState(mirror, 1)) === "out");
  }
  await rig.startDisk(rig.disk(1));
  // The other mirrors have kept the connection, which may still be taken for lost.
  const resyncs = mirrors.map((mirror) => waitUntil("it is in sync", () => rig.resync(mirror, 1)));
  await Promise.all([...resyncs, step()]);
  for (const mirror of mirrors) expect(rig.manager.insync(rig.mirrorid(mirror))).toHaveLength(3);
  const snapshot = await rig.openSnapshot(0);
  await expectContent(snapshot, window.start, old);
  await expect(rig.control("detach", {})).rejects.toThrow("the volume open");
  await client.close();
  await waitUntil("the client is gone", async () => (await rig.status()).clients === 0);
  await expect(rig.control("detach", {})).rejects.toThrow("snapshots open, such as lvol-00002000");
  await snapshot.close();
  await waitUntil("the client is gone", async () => (await rig.snapshotStatus(0))?.clients === 0);
  await rig.control("detach", {});
  expect(await rig.volume?.exited).toBe(0);
  for (const path of [rig.snapshotSocket(0), rig.snapshotLink(0)]) expect(existsSync(path)).toBe(false);
  // Every member of its space alone holds all of it.
  for (const disk of ALL) {
    const others = ALL.filter((other) => other !== disk);
    const space = rig.manager.mirrors.get(rig.mirrorid(rig.spaceMirror(0, 0)));
    const all = new Map(space?.members);
    for (const other of others) space?.members.delete(rig.dextid(rig.spaceMirror(0, 0), other));
    await rig.attach();
    const again = await rig.openSnapshot(0);
    await expectContent(again, window.start, old);
    await rig.volume?.kill();
    for (const [dextid, status] of all) space?.members.set(dextid, status);
  }
});

test("a snapshot of a detached volume begins at the next attach", async () => {
  const rig = await Rig.create({ snapshots: [ALL] });
  await rig.attach();
  const window = new Window(0, MIB);
  const first = await rig.open();
  await window.fill(first, "detached");
  await first.close();
  await waitUntil("the client is gone", async () => (await rig.status()).clients === 0);
  await rig.control("detach", {});
  await rig.volume?.exited;
  rig.manager.snapshots.set(rig.snapshotId(0), true);
  await rig.attach();
  const client = await rig.open();
  const old = Buffer.from(window.content);
  await window.fill(client, "later");
  await expectContent(await rig.openSnapshot(0), 0, old);
});

test("a snapshot is read-only, and can't be deleted while a client has it open", async () => {
  const rig = await Rig.create({ snapshots: [ALL] });
  await rig.attach();
  const client = await rig.open();
  await rig.createSnapshot(0);
  const snapshot = await rig.openSnapshot(0);
  await expect(snapshot.write(0, Buffer.alloc(512))).rejects.toThrow("errno 1");
  await expect(snapshot.trim(0, 512)).rejects.toThrow("errno 1");
  await expect(snapshot.zero(0, 512)).rejects.toThrow("errno 1");
  await snapshot.flush();
  await expect(rig.deleteSnapshot(0)).rejects.toThrow("EBUSY");
  await snapshot.close();
  await waitUntil("the client is gone", async () => (await rig.snapshotStatus(0))?.clients === 0);
  await rig.deleteSnapshot(0);
  await rig.deleteSnapshot(0);
  expect(await rig.snapshotStatus(0)).toBeUndefined();
  for (const path of [rig.snapshotSocket(0), rig.snapshotLink(0)]) expect(existsSync(path)).toBe(false);
  expect((await rig.status()).mirrors).toHaveLength(1);
  await client.write(0, randomData("goes on", MIB));
});

test("nothing lands in the space of a snapshot after its deletion was answered", async () => {
  const rig = await Rig.create({ snapshots: [ALL] });
  await rig.attach();
  const client = await rig.open();
  await new Window(0, 8 * MIB).fill(client, "deleted");
  await rig.createSnapshot(0);
  let next = 0;
  let isOver = false;
  const writer = async (): Promise<void> => {
    // Each is the first to its chunk, for as long as that matters.
    for (let chunk = next++; !isOver; chunk = next++)
      await client.write((chunk % CHUNKS) * CHUNK, randomData(`${chunk}`, 512));
  };
  const writers = Promise.all([writer(), writer(), writer(), writer()]);
  await waitUntil("some are kept", async () => ((await rig.snapshotStatus(0))?.copied ?? 0) > 20);
  await rig.deleteSnapshot(0);
  const space = () => ALL.map((disk) => rig.peek(rig.spaceMirror(0, 0), disk, 0, 64 * MIB));
  const before = space();
  const then = next;
  await waitUntil("many more are written", () => next > then + 400);
  isOver = true;
  await writers;
  for (const [at, bytes] of space().entries()) expect(bytes.equals(before[at] ?? Buffer.alloc(0))).toBe(true);
});

test("a deletion waits for what a silent disk may still write, and the writes of the volume do not", async () => {
  const rig = await Rig.create({
    disks: 4,
    snapshots: [[3]],
    memberTimeoutMs: 60_000,
    snapshotTimeoutMs: 120_000,
  });
  await rig.attach();
  const client = await rig.open();
  await new Window(0, MIB).fill(client, "silent");
  await rig.createSnapshot(0);
  rig.disk(3).process?.signal("SIGSTOP");
  const write = client.write(0, randomData("kept in vain", MIB));
  // By then what it is to keep has been read too, and is on its way to the silent disk.
  for (let round = 0; round < 8; round += 1) await client.read(0, MIB);
  let isDeleted = false;
  const deletion = rig.deleteSnapshot(0).then(() => {
    isDeleted = true;
  });
  await write;
  for (let call = 0; call < 5; call += 1) await rig.status();
  expect(isDeleted).toBe(false);
  rig.disk(3).process?.signal("SIGCONT");
  await deletion;
});

test("a repeated creation joins the first, and two snapshots can be taken at once", async () => {
  const rig = await Rig.create({ snapshots: [ALL, [0, 1]], memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  const window = new Window(0, MIB);
  await window.fill(client, "parallel");
  await Promise.all([rig.createSnapshot(0), rig.createSnapshot(1), rig.createSnapshot(0)]);
  await rig.createSnapshot(0);
  const old = Buffer.from(window.content);
  await window.fill(client, "changed");
  for (const at of [0, 1]) await expectContent(await rig.openSnapshot(at), 0, old);
  const small = rig.snapshotTree(0);
  const [layer] = small.components;
  const [linear] = layer.components;
  const cut = { ...layer, components: [{ ...linear, components: linear.components.slice(0, 1) }] };
  const call = rig.control("createSnapshot", { lvolstruct: { ...small, lvolid: 99, components: [cut] } });
  await expect(call).rejects.toThrow("EINVAL");
});
