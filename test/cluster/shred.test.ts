import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { diskFileBytes } from "../../cli/local/server.js";
import { showDisk } from "../../shared/ids.js";
import { Priority } from "../../shared/states.js";
import { EXTENT_UNIT_BYTES, MIB } from "../../shared/units.js";
import { TestCluster, type TestClusterOptions } from "../harness/cluster.js";
import { failingDisk } from "../harness/failing-disk.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { createAttached, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

/** A cluster whose disks can be prepared before it starts. */
async function createCluster(options: TestClusterOptions): Promise<TestCluster> {
  const cluster = await TestCluster.create(options);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") process.stderr.write(`${task.name}\n${cluster.logTails()}\n`);
    await cluster.destroy();
  });
  return cluster;
}

/** The ends and an inner place of each gigabyte. */
const placesOf = (gigabytes: number): number[] =>
  Array.from({ length: gigabytes }, (_, gigabyte) => gigabyte * EXTENT_UNIT_BYTES).flatMap((start) => [
    start,
    start + 500 * MIB + 7,
    start + EXTENT_UNIT_BYTES - 1,
  ]);

function writeSevens(path: string, places: readonly number[]): void {
  const file = openSync(path, "r+");
  for (const place of places) writeSync(file, Buffer.from([7]), 0, 1, place);
  closeSync(file);
}

function readBytes(path: string, places: readonly number[]) {
  const file = openSync(path, "r");
  const byte = Buffer.alloc(1);
  const found = places.map((place) => (readSync(file, byte, 0, 1, place) === 1 ? byte[0] : -1));
  closeSync(file);
  return found;
}

/** Gigabytes of the first disk of a storage server that its state says are zero, whoever asks. */
function keptGigabytes(server: TestServer): number {
  const folder = join(server.plan.folder, "state", "disks");
  const [name] = readdirSync(folder).filter((file) => file.endsWith(".generations.json"));
  const runs: { start: number; end: number; zeroed: boolean }[] =
    name === undefined ? [] : JSON.parse(readFileSync(join(folder, name), "utf8")).runs;
  return runs.filter(({ zeroed }) => zeroed).reduce((sum, { start, end }) => sum + end - start, 0);
}

test("shreds go on after their agents and the manager were killed, and leave nothing but zeros", async () => {
  const diskGb = 28;
  // A hole of a GiB costs a MiB of the rate, and so a second.
  const cluster = await createCluster({
    storageServers: 2,
    diskGb,
    storage: { shred_rate_mb: 1, force: true },
  });
  const [one, two] = cluster.storage as [TestServer, TestServer];
  for (const server of cluster.servers) server.prepare();
  const places = placesOf(diskGb);
  for (const { plan } of [one, two]) writeSevens(plan.disks[0] ?? "", places);
  for (const server of cluster.servers) server.up();
  const shreds = async () => (await cluster.status()).jobs.filter(({ kind }) => kind === "shred");
  const progress = async () => (await shreds()).map((job) => job.progress);
  const waitForProgress = (percent: number) =>
    waitUntil(`both shreds are at ${percent} %`, async () => {
      const found = await progress();
      return found.length === 2 && found.every((part) => part >= percent);
    });

  await waitForProgress(15);
  const ssvrid = await cluster.storageServerId(one);
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid });
  const own = showDisk(disk?.pdskid ?? 0);
  const ownProgress = async () => (await shreds()).find(({ subject }) => subject.includes(own))?.progress;
  await one.killControl();
  const before = await ownProgress();
  expect(before).toBeGreaterThanOrEqual(15);
  one.up();
  await waitUntil("the agent tells anew how far it is", async () => (await ownProgress()) !== before);
  await waitForProgress(15);
  await cluster.manager.kill();
  cluster.manager.up();
  const kept = await Promise.all(
    [one, two].map(async (server) => {
      await waitUntil("a part is written down", () => keptGigabytes(server) > 0);
      await server.killControl();
      return keptGigabytes(server);
    }),
  );
  await cluster.manager.kill();
  for (const gigabytes of kept) {
    expect(gigabytes).toBeGreaterThan(0);
    expect(gigabytes).toBeLessThan(diskGb);
  }
  // Bytes in what was written down show that it is not done again.
  for (const { plan } of [one, two]) writeSevens(plan.disks[0] ?? "", [5]);
  for (const server of cluster.servers) server.up();
  await cluster.waitUntilUsable();

  for (const { plan } of [one, two]) {
    const path = plan.disks[0] ?? "";
    expect(readBytes(path, places).filter((byte) => byte !== 0)).toEqual([]);
    expect(readBytes(path, [5])).toEqual([7]);
  }
  expect((await cluster.api("listPhysicalDisks", {})).map(({ priority }) => priority)).toEqual([
    Priority.HIGH,
    Priority.HIGH,
  ]);
  await expectConsistent(cluster);
});

test("a disk that fails while it is shredded is taken out of use, and its copies are made anew elsewhere", async () => {
  const diskGb = 3;
  const cluster = await createCluster({ storageServers: 3, diskGb, storage: { shred_verify: true } });
  const [failing] = cluster.storage as [TestServer];
  const disk = await failingDisk(failing.plan.disks[0] ?? "", diskFileBytes(diskGb));
  await cluster.start();
  const head = cluster.heads[0] as TestServer;
  // Together these have members on every disk.
  const data = randomData("kept", 8 * MIB);
  for (const name of ["kept-1", "kept-2"]) {
    const { client } = await createOpened(cluster, { name, gigabytes: 1, redundancy: 2, head });
    await writeAll(client, 0, data);
    await client.flush();
    await client.close();
  }
  const lvolid = await createAttached(cluster, { name: "old", gigabytes: 1, redundancy: 3, head });
  await cluster.api("detachLogicalVolume", { lvolid });
  disk.fail();
  await cluster.api("deleteLogicalVolume", { lvolid });

  const id = await cluster.storageServerId(failing);
  const diskOf = async () => (await cluster.api("listPhysicalDisks", {})).find(({ ssvrid }) => ssvrid === id);
  await waitUntil("the disk is FAULTY", async () => (await diskOf())?.priority === Priority.FAULTY);
  await cluster.waitUntilWhole([id]);
  await waitUntil("only its space waits", async () => {
    const { jobs, capacity } = await cluster.status();
    return jobs.length === 0 && capacity.unshredded === (await diskOf())?.unshredded;
  });
  expect((await diskOf())?.unshredded).toBeGreaterThan(0);
  for (const name of ["kept-1", "kept-2"]) {
    const client = await openVolume(head, name);
    expect(await firstMismatch(client, 0, data)).toBeUndefined();
    await client.close();
  }
  await expectConsistent(cluster);
});
