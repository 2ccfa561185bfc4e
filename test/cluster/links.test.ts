import { expect, test } from "vitest";
import { BindStatus, FailureTarget } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { patientHead, type TestCluster } from "../harness/cluster.js";
import { faultOf } from "../harness/fault-of.js";
import { extentIds, isInSyncOn } from "../harness/members.js";
import { randomData } from "../harness/random-data.js";
import { expectSound, type Written } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const outcomeOf = (work: Promise<void>): Promise<"done" | "failed"> =>
  work.then(
    () => "done",
    () => "failed",
  );

test("a head that is cut from a storage server writes on without it, and the server catches up, whichever direction was cut", async () => {
  const cluster = await useCluster({
    storageServers: 3,
    diskGb: 1,
    network: "namespaces",
    manager: { replace_after: 600 },
  });
  const head = cluster.heads[0] as TestServer;
  const [one, two, three] = cluster.storage as [TestServer, TestServer, TestServer];
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const before = await extentIds(cluster, lvolid);
  const { network } = cluster;
  const written: Written[] = [];

  const cuts: readonly [string, TestServer, () => void][] = [
    ["both directions", one, () => network.cut(head, one)],
    ["to the storage server", two, () => network.cutOneWay({ from: head, to: two })],
    ["from the storage server", three, () => network.cutOneWay({ from: three, to: head })],
  ];
  for (const [direction, server, cut] of cuts) {
    cut();
    const data = randomData(direction, 8 * MIB);
    await writeAll(client, written.length * 5 * MIB, data);
    // Acknowledged, so the manager counts on it no more (D2).
    expect(await isInSyncOn(cluster, lvolid, server), direction).toBe(false);
    network.heal(head, server);
    await cluster.waitUntilWhole();
    const last = written.at(-1);
    if (last !== undefined) written[written.length - 1] = { ...last, data: last.data.subarray(0, 5 * MIB) };
    written.push({ offset: written.length * 5 * MIB, data });
  }
  await expectSound(cluster, lvolid, client, written);
  expect(await extentIds(cluster, lvolid)).toEqual(before);
});

test("a write that a dead storage server missed waits for as long as the manager can't be told, and no longer", async () => {
  const cluster = await useCluster({ storageServers: 4, diskGb: 2, network: "namespaces" });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const [dead] = await membersServers(cluster, lvolid);
  if (dead === undefined) throw new Error("the volume has no members");

  cluster.network.cut(head, cluster.manager);
  await dead.kill();
  const data = randomData("missed", 4 * MIB);
  let acknowledged = 0;
  const writing = writeAll(client, MIB, data, (done) => {
    acknowledged = done;
  });
  await waitUntil("the head tries to report", () => head.logTail().includes("reportMemberFailure failed"));
  expect(acknowledged).toBe(0);
  expect(await isInSyncOn(cluster, lvolid, dead)).toBe(true);

  cluster.network.heal(head, cluster.manager);
  await writing;
  await cluster.waitUntilWhole([await cluster.storageServerId(dead)]);
  dead.up();
  await cluster.waitUntilUsable();
  await expectSound(cluster, lvolid, client, [{ offset: MIB, data }]);
});

/** Storage servers that hold members of a volume. */
async function membersServers(cluster: TestCluster, lvolid: number): Promise<TestServer[]> {
  const holds = await Promise.all(cluster.storage.map((server) => isInSyncOn(cluster, lvolid, server)));
  return cluster.storage.filter((_, index) => holds[index]);
}

/** The volume leaves a head that the manager can't reach, which knows nothing of it and can still reach the disks. */
async function moveFromUnreachable(
  cluster: TestCluster,
  lvolid: number,
  heads: { readonly old: TestServer; readonly next: TestServer },
): Promise<void> {
  expect(["EHOSTDOWN", "ETIMEDOUT"]).toContain(
    (await faultOf(cluster.api("detachLogicalVolume", { lvolid }))).errno,
  );
  const targetid = await cluster.headServerId(heads.old);
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid });
  await waitUntil("the volume is unbound", async () => {
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    return volume?.bind_status === BindStatus.UNBOUND && volume.bind_event === 0;
  });
  await attach(cluster, lvolid, heads.next);
}

/** A head that was declared failed is in use again when its agent has been started anew. */
async function restart(head: TestServer): Promise<void> {
  await head.killControl();
  head.up();
  await head.waitUntilAnswers();
}

test("a head that only the manager is cut from, in either direction, is fenced, and can't write when the link is back", async () => {
  const cluster = await useCluster({
    storageServers: 3,
    headServers: 2,
    diskGb: 1,
    network: "namespaces",
    manager: { detach_timeout: 4 },
  });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const { manager, network } = cluster;
  const volume = { name: "data", gigabytes: 1, redundancy: 3, head: one };
  const { lvolid, client: first } = await createOpened(cluster, volume);
  await writeAll(first, 0, randomData("first", 4 * MIB));

  network.cutOneWay({ from: manager, to: one });
  await moveFromUnreachable(cluster, lvolid, { old: one, next: two });
  const second = await openVolume(two, "data");
  const data = randomData("second", 4 * MIB);
  await writeAll(second, 0, data);
  expect(await outcomeOf(first.write(0, randomData("cut off", MIB)))).toBe("failed");
  network.heal(manager, one);
  await waitUntil("the fenced process is gone", () => one.dataPathPids().length === 0);
  await restart(one);
  await cluster.waitUntilUsable();

  network.cutOneWay({ from: two, to: manager });
  await moveFromUnreachable(cluster, lvolid, { old: two, next: one });
  const third = await openVolume(one, "data");
  const last = randomData("third", 4 * MIB);
  await writeAll(third, 4 * MIB, last);
  network.heal(manager, two);
  expect(await outcomeOf(second.write(0, randomData("link is back", MIB)))).toBe("failed");
  await waitUntil("the fenced process is gone", () => two.dataPathPids().length === 0);
  await restart(two);
  await cluster.waitUntilUsable();

  await expectSound(cluster, lvolid, third, [
    { offset: 0, data },
    { offset: 4 * MIB, data: last },
  ]);
});

test("while the manager is cut from all storage servers, nothing is replaced and the volumes are in use", async () => {
  // Longer than the time between the first server's and the last one's being found silent.
  const replaceAfter = 15;
  const cluster = await useCluster({
    storageServers: 4,
    diskGb: 2,
    network: "namespaces",
    manager: { replace_after: replaceAfter },
  });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const before = await extentIds(cluster, lvolid);

  for (const server of cluster.storage) cluster.network.cut(cluster.manager, server);
  await waitUntil("the brake is on", async () => {
    const { storage_servers, notices } = await cluster.status();
    return storage_servers.up === 0 && notices.some((notice) => notice.includes("nothing is replaced"));
  });
  const data = randomData("brake", 2 * MIB);
  const since = performance.now();
  // For longer than it takes until members of silent servers are replaced.
  while (performance.now() - since < 1500 * replaceAfter) await writeAll(client, MIB, data);
  expect(await extentIds(cluster, lvolid)).toEqual(before);

  for (const server of cluster.storage) cluster.network.heal(cluster.manager, server);
  await cluster.waitUntilUsable();
  await expectSound(cluster, lvolid, client, [{ offset: MIB, data }]);
  expect(await extentIds(cluster, lvolid)).toEqual(before);
});

test("a storage server that only the manager is cut from is replaced, and its copy, which its head goes on writing, stays good", async () => {
  const cluster = await useCluster({
    storageServers: 4,
    diskGb: 2,
    network: "namespaces",
    head: patientHead,
  });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const [away] = await membersServers(cluster, lvolid);
  if (away === undefined) throw new Error("the volume has no members");
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);

  cluster.network.cut(cluster.manager, away);
  await waitUntil(
    "another server has a member",
    async () => {
      const servers = await membersServers(cluster, lvolid);
      return servers.filter((server) => server !== away).length === 2;
    },
    240_000,
  );
  await writeAll(client, 4 * MIB, data);
  cluster.network.heal(cluster.manager, away);
  await waitUntil(
    "all storage servers are up",
    async () => (await cluster.status()).storage_servers.up === 4,
  );
  expect(await isInSyncOn(cluster, lvolid, away)).toBe(true);
  const written = [0, 4 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, client, written);

  // Its head used the copy all along; once no head does, there is one too many.
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await waitUntil(
    "a copy is given back",
    async () => (await extentIds(cluster, lvolid)).length === 2,
    240_000,
  );
  await attach(cluster, lvolid, head);
  await expectSound(cluster, lvolid, await openVolume(head, "data"), written);
});
