import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import { patientHead } from "../harness/cluster.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, writeAll } from "../harness/volume-io.js";
import { createAttached, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

test("while the manager is dead, reads and writes go on; a restarted one serves the same state", async () => {
  const cluster = await useCluster({ storageServers: 3, head: patientHead });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const state = async () => ({
    volumes: await cluster.api("listLogicalVolumes", {}),
    tree: await cluster.api("showLogicalVolume", { lvolid }),
    disks: await cluster.api("listPhysicalDisks", {}),
  });
  const before = await state();
  const { serial } = await cluster.status();

  await cluster.manager.kill();
  const data = randomData("data", 64 * MIB);
  await writeAll(client, 0, data);
  await client.flush();
  expect(await firstMismatch(client, 0, data)).toBeUndefined();

  cluster.manager.up();
  await waitUntil("the manager answers", async () => (await cluster.status()).serial === serial + 1);
  expect(await state()).toEqual(before);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await expectConsistent(cluster);
});

test("export processes outlive their control process, which finds them again", async () => {
  const cluster = await useCluster({ storageServers: 2, head: patientHead });
  const head = cluster.heads[0] as TestServer;
  const { client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const agent = cluster.storage[0] as TestServer;
  const exports = agent.dataPathPids();
  expect(exports).toHaveLength(1);

  await agent.killControl();
  const data = randomData("data", 32 * MIB);
  await writeAll(client, 0, data);
  agent.up();
  await agent.waitUntilAnswers();
  await cluster.waitUntilUsable();
  expect(agent.dataPathPids()).toEqual(exports);
  expect(await firstMismatch(client, 0, data)).toBeUndefined();

  // The restarted agent can change what the old export process lets through.
  await createAttached(cluster, { name: "another", gigabytes: 1, redundancy: 2, head });
  expect(agent.dataPathPids()).toEqual(exports);
  await expectConsistent(cluster);
});

test("volume processes outlive their control process, which finds them again", async () => {
  const cluster = await useCluster({ storageServers: 2, head: patientHead });
  const agent = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, {
    name: "data",
    gigabytes: 1,
    redundancy: 2,
    head: agent,
  });
  const volumes = agent.dataPathPids();
  expect(volumes).toHaveLength(1);

  await agent.killControl();
  const data = randomData("data", 32 * MIB);
  await writeAll(client, 0, data);
  agent.up();
  await agent.waitUntilAnswers();
  await cluster.waitUntilUsable();
  expect(agent.dataPathPids()).toEqual(volumes);
  expect(await firstMismatch(client, 0, data)).toBeUndefined();

  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  expect(agent.dataPathPids()).toEqual([]);
  await expectConsistent(cluster);
});
