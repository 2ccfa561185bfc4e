import { existsSync, truncateSync } from "node:fs";
import { expect, test } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import { MemberStatus } from "../../shared/states.js";
import { extentPlace, MIB } from "../../shared/units.js";
import { SmallFileSystem } from "../harness/full-disk.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { Rig } from "./rig.js";
import { expectContent, Window } from "./snapshot-window.js";

const ALL = [0, 1, 2];
const TIMEOUTS = { memberTimeoutMs: 1000, snapshotTimeoutMs: 2000 };

async function filled(rig: Rig, name: string) {
  await rig.attach();
  const client = await rig.open();
  const window = new Window(0, 2 * MIB);
  await window.fill(client, name);
  return { client, window };
}

test("a lost copy-on-write space is recorded as invalid before the write that it missed is answered", async () => {
  const rig = await Rig.create({ disks: 5, snapshots: [[3, 4], ALL], ...TIMEOUTS });
  const { client, window } = await filled(rig, "lost");
  await rig.createSnapshot(0);
  await rig.createSnapshot(1);
  const old = Buffer.from(window.content);
  const lost = await rig.openSnapshot(0);
  await expectContent(lost, 0, old);
  let record: () => void = () => undefined;
  const mayRecord = new Promise<void>((resolve) => {
    record = resolve;
  });
  let isAsked = false;
  rig.manager.beforeSnapshotReport = () => {
    isAsked = true;
    return mayRecord;
  };
  await Promise.all([rig.disk(3).kill(), rig.disk(4).kill()]);
  const acknowledged: string[] = [];
  const write = client.write(0, randomData("first", MIB)).then(() => acknowledged.push("first"));
  await waitUntil("it is reported", () => isAsked);
  expect((await rig.snapshotStatus(0))?.state).toBe("invalid");
  // One that comes after the failure needs the snapshot just as much.
  const later = client.write(MIB, randomData("later", MIB)).then(() => acknowledged.push("later"));
  await client.flush();
  await waitUntil("the other snapshot has both", async () => (await rig.snapshotStatus(1))?.copied === 128);
  expect(acknowledged).toEqual([]);
  expect(rig.manager.snapshots.get(rig.snapshotId(0))).toBe(true);
  record();
  await Promise.all([write, later]);
  expect(rig.manager.snapshots.get(rig.snapshotId(0))).toBe(false);
  // Told again, perhaps, but of no other.
  expect(new Set(rig.manager.snapshotReports.map(({ lvolid }) => lvolid))).toEqual(
    new Set([rig.snapshotId(0)]),
  );
  await expect(lost.read(0, 4096)).rejects.toThrow("errno 5");
  await expectContent(await rig.openSnapshot(1), 0, old);
  const status = await rig.status();
  expect(status.lvolstruct.lvolspec.assoc).toMatchObject([{ lvolid: rig.snapshotId(1) }]);
  expect(status.mirrors).toHaveLength(1 + 2);
  await client.write(0, randomData("goes on", MIB));
});

test("a copy-on-write space without room on its disks costs that snapshot alone, and no write of the volume", async () => {
  const small = new SmallFileSystem(8 * MIB);
  const rig = await Rig.create({
    disks: 4,
    snapshots: [[3], ALL],
    diskFolders: { 3: small.folder },
    ...TIMEOUTS,
  });
  await rig.attach();
  const client = await rig.open();
  const window = new Window(0, 24 * MIB);
  await window.fill(client, "no room");
  await rig.createSnapshot(0);
  await rig.createSnapshot(1);
  const old = Buffer.from(window.content);
  await window.fill(client, "written after");
  await client.flush();
  expect(rig.manager.snapshotReports).toMatchObject([{ lvolid: rig.snapshotId(0) }]);
  expect((await rig.snapshotStatus(0))?.state).toBe("invalid");
  await expectContent(client, 0, window.content);
  await expectContent(await rig.openSnapshot(1), 0, old);
});

test("a member of a copy-on-write space that fails is reported, and the snapshot goes on without it", async () => {
  const rig = await Rig.create({ disks: 5, snapshots: [[3, 4]], ...TIMEOUTS });
  const { client, window } = await filled(rig, "degraded");
  await rig.createSnapshot(0);
  const old = Buffer.from(window.content);
  rig.disk(3).process?.signal("SIGSTOP");
  await client.write(0, randomData("new", MIB));
  const space = rig.spaceMirror(0, 0);
  expect(rig.manager.statusOf(rig.mirrorid(space), rig.dextid(space, 3))).toBe(MemberStatus.SPARE);
  rig.disk(3).process?.signal("SIGCONT");
  await expectContent(await rig.openSnapshot(0), 0, old);
  expect(rig.manager.snapshotReports).toEqual([]);
});

test("while the manager is away no snapshot is given up for the sake of a member that can't be reported", async () => {
  const rig = await Rig.create({
    disks: 5,
    snapshots: [[3, 4]],
    memberTimeoutMs: 1500,
    snapshotTimeoutMs: 2500,
  });
  const { client, window } = await filled(rig, "manager");
  await rig.createSnapshot(0);
  const old = Buffer.from(window.content);
  await rig.manager.stop();
  await rig.disk(3).kill();
  const write = client.write(0, randomData("new", MIB));
  const space = rig.spaceMirror(0, 0);
  await waitUntil("it is failing", async () => (await rig.memberState(space, 3)) === "failing");
  // Each of these reads takes a member timeout, together longer than the snapshot's own limit: its stripe is on a frozen disk.
  for (const disk of ALL) {
    rig.disk(disk).process?.signal("SIGSTOP");
    await client.read(64 * MIB + ((disk + 2) % 3) * MIB, 4096);
    rig.disk(disk).process?.signal("SIGCONT");
  }
  await waitUntil(
    "three disks have failed to answer",
    () => rig.log.split("has not answered").length - 1 === 3,
  );
  expect((await rig.snapshotStatus(0))?.state).toBe("active");
  await rig.manager.start();
  await write;
  await expectContent(await rig.openSnapshot(0), 0, old);
});

test("a flush of the volume does not wait for the disks of a copy-on-write space", async () => {
  const rig = await Rig.create({
    disks: 4,
    snapshots: [[3]],
    memberTimeoutMs: 60_000,
    snapshotTimeoutMs: 120_000,
  });
  const { client } = await filled(rig, "flush");
  await rig.createSnapshot(0);
  await client.write(0, randomData("new", MIB));
  rig.disk(3).process?.signal("SIGSTOP");
  const late = client.write(MIB, randomData("waits", 4096));
  await client.write(0, randomData("kept already", MIB));
  await client.flush();
  rig.disk(3).process?.signal("SIGCONT");
  await late;
});

test("an instant that the writes under way do not let come fails in time, and they go on", async () => {
  const rig = await Rig.create({ disks: 2, redundancy: 1, snapshots: [[1]], ...TIMEOUTS });
  const { client, window } = await filled(rig, "drain");
  rig.disk(0).process?.signal("SIGSTOP");
  const write = client.write(0, randomData("stuck", 4096));
  await expect(rig.createSnapshot(0)).rejects.toThrow("ETIMEDOUT");
  expect((await rig.status()).snapshots).toEqual([]);
  expect(existsSync(rig.snapshotSocket(0))).toBe(false);
  rig.disk(0).process?.signal("SIGCONT");
  await write;
  randomData("stuck", 4096).copy(window.content);
  await rig.createSnapshot(0);
  const old = Buffer.from(window.content);
  await client.write(0, randomData("changed", MIB));
  await expectContent(await rig.openSnapshot(0), 0, old);
});

test("a snapshot whose disks are away at the start is invalid, and the volume is served", async () => {
  const rig = await Rig.create({ disks: 4, snapshots: [[3], ALL], ...TIMEOUTS });
  const { client, window } = await filled(rig, "start");
  await rig.createSnapshot(0);
  await rig.createSnapshot(1);
  const old = Buffer.from(window.content);
  await client.write(0, randomData("new", MIB));
  await rig.volume?.kill();
  await rig.disk(3).kill();
  await rig.attach();
  const again = await rig.open();
  await again.write(MIB, randomData("newer", MIB));
  expect(rig.manager.snapshots.get(rig.snapshotId(0))).toBe(false);
  expect((await rig.snapshotStatus(0))?.state).toBe("invalid");
  await expectContent(await rig.openSnapshot(1), 0, old);
  await rig.deleteSnapshot(0);
  expect(await rig.snapshotStatus(0)).toBeUndefined();
});

test("a snapshot that can't be made leaves nothing behind", async () => {
  const rig = await Rig.create({ disks: 4, snapshots: [[3]], ...TIMEOUTS });
  const { client } = await filled(rig, "not made");
  await rig.disk(3).kill();
  await expect(rig.createSnapshot(0)).rejects.toThrow("ETIMEDOUT");
  expect((await rig.status()).snapshots).toEqual([]);
  expect(existsSync(rig.snapshotSocket(0))).toBe(false);
  expect(rig.manager.snapshotReports).toEqual([]);
  await client.write(0, randomData("goes on", MIB));
  await rig.startDisk(rig.disk(3));
  await rig.createSnapshot(0);
});

test("content that can't be read to be kept makes the snapshot invalid, and the write goes on", async () => {
  const rig = await Rig.create({ disks: 2, redundancy: 1, snapshots: [[1]], ...TIMEOUTS });
  const { client } = await filled(rig, "unreadable");
  await client.flush();
  await rig.createSnapshot(0);
  truncateSync(rig.disk(0).path, extentPlace(0, 1).dataStart + MIB);
  const data = randomData("written", 64 * 1024);
  await client.write(MIB, data);
  expect(rig.manager.snapshots.get(rig.snapshotId(0))).toBe(false);
  expect((await client.read(MIB, data.length)).equals(data)).toBe(true);
});

test("a disk that refuses a copy-on-write space costs the snapshot, not the volume", async () => {
  const rig = await Rig.create({ disks: 4, snapshots: [[3]], ...TIMEOUTS });
  const { client } = await filled(rig, "refused");
  await rig.createSnapshot(0);
  const grants = { grants: [{ lvolid: 1, epoch: 1, extents: [] }], revoked: [] };
  await callControl(rig.disk(3).control, "setGrants", grants, 5000);
  await client.write(0, randomData("goes on", MIB));
  expect(rig.manager.snapshots.get(rig.snapshotId(0))).toBe(false);
  await client.write(MIB, randomData("and on", MIB));
});

test("a closed epoch is learnt from the report of a snapshot too: exit code 3, and nothing is answered", async () => {
  const rig = await Rig.create({ disks: 4, snapshots: [[3]], ...TIMEOUTS });
  const { client } = await filled(rig, "fenced");
  await rig.createSnapshot(0);
  const snapshot = await rig.openSnapshot(0);
  rig.manager.isOpen = false;
  await rig.disk(3).kill();
  await expect(client.write(0, randomData("never", 4096))).rejects.toThrow();
  await expect(snapshot.read(0, 4096)).rejects.toThrow();
  expect(await rig.volume?.exited).toBe(3);
  expect(existsSync(rig.snapshotSocket(0))).toBe(false);
});
