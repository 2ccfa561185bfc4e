import { expect, test } from "vitest";
import { BindStatus } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { mirrorsOf } from "../harness/cluster.js";
import { differenceOf } from "../harness/disk-files.js";
import { faultOf } from "../harness/fault-of.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createAttached, createOpened } from "../harness/volumes.js";

test("a volume that is detached and attached on another head server has the same bytes", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2 });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const { lvolid, client } = await createOpened(cluster, {
    name: "data",
    gigabytes: 2,
    redundancy: 2,
    head: one,
  });
  const data = randomData("data", 64 * MIB);
  await writeAll(client, 1000 * MIB, data);
  await client.close();

  await cluster.api("detachLogicalVolume", { lvolid });
  await attach(cluster, lvolid, two);
  const again = await openVolume(two, "data");
  expect(await firstMismatch(again, 1000 * MIB, data)).toBeUndefined();

  await again.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  for (const mirror of mirrorsOf(await cluster.api("showLogicalVolume", { lvolid }))) {
    expect(await differenceOf(cluster, mirror)).toBeUndefined();
  }
  await expectConsistent(cluster);
});

test("an attached volume can't be attached on a second head server, nor deleted", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2 });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const lvolid = await createAttached(cluster, { name: "data", gigabytes: 1, redundancy: 2, head: one });

  expect((await faultOf(attach(cluster, lvolid, two))).errno).toBe("EBUSY");
  expect((await faultOf(cluster.api("deleteLogicalVolume", { lvolid }))).errno).toBe("EBUSY");
  const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
  expect(volume?.hsvrid).toBe(await cluster.headServerId(one));
  await expectConsistent(cluster);
});

test("of two attaches at once exactly one wins", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2 });
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 2 });

  const outcomes = await Promise.allSettled(cluster.heads.map((head) => attach(cluster, lvolid, head)));
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  const loser = outcomes.find((outcome) => outcome.status === "rejected");
  expect((await faultOf(Promise.reject(loser?.reason))).errno).toBe("EBUSY");
  await expectConsistent(cluster);
});

test("a detach is refused while a client is connected, and leaves the volume attached", async () => {
  const cluster = await useCluster({ storageServers: 2 });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });

  expect((await faultOf(cluster.api("detachLogicalVolume", { lvolid }))).errno).toBe("EBUSY");
  const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
  expect(volume?.bind_status).toBe(BindStatus.BOUND);
  const data = randomData("data", MIB);
  await writeAll(client, 0, data);
  expect(await firstMismatch(client, 0, data)).toBeUndefined();

  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await expectConsistent(cluster);
});
