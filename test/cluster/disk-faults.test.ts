import { expect, onTestFinished, test } from "vitest";
import { MIB } from "../../shared/units.js";
import { patientHead, type TestCluster, type TestClusterOptions } from "../harness/cluster.js";
import { FaultyDisk } from "../harness/faulty-disk.js";
import { SmallFileSystem } from "../harness/full-disk.js";
import { extentIds, isInSyncOn } from "../harness/members.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";

/** A cluster whose `storage-1` has this disk. When the test ends the disk works, so that all who wait for it can end. */
async function useClusterWith(disk: FaultyDisk, options: TestClusterOptions): Promise<TestCluster> {
  const cluster = await useCluster({ diskGb: 1, disks: { "storage-1": [disk.path] }, ...options });
  onTestFinished(() => disk.heal());
  return cluster;
}

/** A volume with a member on every storage server. */
function createEverywhere(cluster: TestCluster) {
  const head = cluster.heads[0] as TestServer;
  return createOpened(cluster, { name: "data", gigabytes: 1, redundancy: cluster.storage.length, head });
}

test.for([
  { what: "writes", faults: { writes: "EIO" } },
  { what: "flushes", faults: { flushes: "EIO" } },
] as const)(
  "a disk that fails $what under a volume is used no more, and its copy is made anew elsewhere",
  async ({ what, faults }) => {
    const disk = await FaultyDisk.create(2);
    const cluster = await useClusterWith(disk, { storageServers: 3, diskGb: 2 });
    const head = cluster.heads[0] as TestServer;
    const failing = cluster.storage[0] as TestServer;
    const id = await cluster.storageServerId(failing);
    const { lvolid, client } = await createOn(cluster, failing, head);
    const before = randomData("before", 4 * MIB);
    await writeAll(client, 0, before);

    disk.set(faults);
    const data = randomData(what, 4 * MIB);
    await writeAll(client, 4 * MIB, data);
    await client.flush();
    expect(await isInSyncOn(cluster, lvolid, failing)).toBe(false);
    await cluster.waitUntilWhole([id]);
    disk.heal();
    const written = [
      { offset: 0, data: before },
      { offset: 4 * MIB, data },
    ];
    await expectSound(cluster, lvolid, client, written, disk);
  },
);

test.for([
  { what: "writes", faults: { writes: "EIO" } },
  { what: "flushes", faults: { flushes: "EIO" } },
] as const)(
  "a disk that failed $what for a while catches up by itself when it works again",
  async ({ what, faults }) => {
    const disk = await FaultyDisk.create(1);
    const cluster = await useClusterWith(disk, { storageServers: 2 });
    const failing = cluster.storage[0] as TestServer;
    const { lvolid, client } = await createEverywhere(cluster);
    const before = await extentIds(cluster, lvolid);
    disk.set(faults);
    const data = randomData(what, 4 * MIB);
    await writeAll(client, 0, data);
    await client.flush();
    expect(await isInSyncOn(cluster, lvolid, failing)).toBe(false);
    disk.heal();
    await expectSound(cluster, lvolid, client, [{ offset: 0, data }], disk);
    expect(await extentIds(cluster, lvolid)).toEqual(before);
  },
);

/** A volume with two copies, one of them on a certain server. One that has none there takes room from the others. */
async function createOn(cluster: TestCluster, server: TestServer, head: TestServer) {
  for (let number = 1; ; number += 1) {
    const name = `data-${number}`;
    const opened = await createOpened(cluster, { name, gigabytes: 1, redundancy: 2, head });
    if (await isInSyncOn(cluster, opened.lvolid, server)) return opened;
    await opened.client.close();
    await cluster.api("detachLogicalVolume", { lvolid: opened.lvolid });
  }
}

test("what a disk can't read is read from another copy", async () => {
  const disk = await FaultyDisk.create(1);
  const cluster = await useClusterWith(disk, { storageServers: 2 });
  const { lvolid, client } = await createEverywhere(cluster);
  const data = randomData("data", 16 * MIB);
  await writeAll(client, 0, data);
  await client.flush();

  disk.set({ reads: "EIO" });
  expect(await firstMismatch(client, 0, data)).toBeUndefined();
  await writeAll(client, 16 * MIB, data);
  disk.heal();
  const written = [0, 16 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, client, written, disk);
});

test("a slow disk slows a volume down, and is no reason to do without it", async () => {
  const disk = await FaultyDisk.create(1);
  const cluster = await useClusterWith(disk, { storageServers: 2, head: patientHead });
  const { lvolid, client } = await createEverywhere(cluster);
  const before = await extentIds(cluster, lvolid);

  disk.set({ delayMs: 100 });
  const data = randomData("slow", 2 * MIB);
  const since = performance.now();
  await writeAll(client, MIB, data);
  await client.flush();
  expect(performance.now() - since).toBeGreaterThan(100);
  expect(await isInSyncOn(cluster, lvolid, cluster.storage[0] as TestServer)).toBe(true);
  disk.heal();
  await expectSound(cluster, lvolid, client, [{ offset: MIB, data }], disk);
  expect(await extentIds(cluster, lvolid)).toEqual(before);
});

test("a disk that hangs is done without after member_timeout, holds up neither detach nor attach, and catches up", async () => {
  const disk = await FaultyDisk.create(1);
  const cluster = await useClusterWith(disk, { storageServers: 2, manager: { replace_after: 600 } });
  const head = cluster.heads[0] as TestServer;
  const hanging = cluster.storage[0] as TestServer;
  const { lvolid, client } = await createEverywhere(cluster);
  const before = await extentIds(cluster, lvolid);

  disk.set({ hangs: true });
  const data = randomData("hangs", 4 * MIB);
  await writeAll(client, 0, data);
  await client.flush();
  expect(await isInSyncOn(cluster, lvolid, hanging)).toBe(false);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await attach(cluster, lvolid, head);
  const again = await openVolume(head, "data");
  expect(await firstMismatch(again, 0, data)).toBeUndefined();
  await writeAll(again, 4 * MIB, data);

  disk.heal();
  const written = [0, 4 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, again, written, disk);
  expect(await extentIds(cluster, lvolid)).toEqual(before);
});

test("a disk file whose file system is full costs its copy and no write, and catches up when there is room", async () => {
  const full = new SmallFileSystem(24 * MIB);
  const cluster = await useCluster({
    storageServers: 2,
    diskGb: 1,
    disks: { "storage-1": [`${full.folder}/disk.img`] },
  });
  const { lvolid, client } = await createEverywhere(cluster);
  const before = randomData("before", 4 * MIB);
  await writeAll(client, 0, before);

  full.fill();
  const data = randomData("full", 8 * MIB);
  await writeAll(client, 4 * MIB, data);
  await client.flush();
  expect(await isInSyncOn(cluster, lvolid, cluster.storage[0] as TestServer)).toBe(false);
  full.empty();
  await expectSound(cluster, lvolid, client, [
    { offset: 0, data: before },
    { offset: 4 * MIB, data },
  ]);
});

test("a disk that can't make holes is overwritten with zeros before it is used", async () => {
  const disk = await FaultyDisk.create(1, { zeroes: "EOPNOTSUPP" });
  const cluster = await useClusterWith(disk, { storageServers: 2 });
  const { lvolid, client } = await createEverywhere(cluster);
  const data = randomData("data", 2 * MIB);
  await writeAll(client, 0, data);
  await client.trim(0, MIB);
  const written = [
    { offset: 0, data: Buffer.alloc(MIB) },
    { offset: MIB, data: data.subarray(MIB) },
  ];
  await expectSound(cluster, lvolid, client, written, disk);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await expectConsistent(cluster);
});
