import { existsSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { BindStatus, EventStatus } from "../../shared/states.js";
import { GIB, MIB } from "../../shared/units.js";
import { createXmlRpcClient } from "../../shared/xmlrpc/client.js";
import { isXmlRpcStruct, type XmlRpcStruct } from "../../shared/xmlrpc/value.js";
import type { TestCluster } from "../harness/cluster.js";
import { faultOf } from "../harness/fault-of.js";
import { isInSyncOn } from "../harness/members.js";
import type { Message } from "../harness/message-gate.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const ESTALE = 116;

async function bindStatus(cluster: TestCluster, lvolid: number): Promise<number | undefined> {
  return (await cluster.api("listLogicalVolumes", { lvolid }))[0]?.bind_status;
}

/** What became of the work that a message has started at a head, asked as the manager does. */
async function endOfEvent(head: TestServer, { params }: Message): Promise<XmlRpcStruct> {
  const { ver = 0, cluster = "", serial = 0, eventid = 0 } = params;
  const rpc = createXmlRpcClient({
    addresses: [{ host: head.plan.address, port: 8882 }],
    timeoutMs: 60_000,
    maxResponseBytes: MIB,
  });
  onTestFinished(() => rpc.close());
  const end = await rpc.call("waitEvent", { ver, cluster, serial, eventid, timeout_ms: 50_000 });
  if (!isXmlRpcStruct(end)) throw new Error("waitEvent answers a struct");
  return end;
}

test("grants that were held back are refused after the revoke of their epoch, in any order", async () => {
  const cluster = await useCluster({ storageServers: 3, diskGb: 1, gate: true });
  const head = cluster.heads[0] as TestServer;
  const late = cluster.storage[1] as TestServer;
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 3 });

  const hold = cluster.gate.hold({ method: "grantExtents", to: late.plan.name });
  await attach(cluster, lvolid, head);
  // The manager did without that server: its copy counts no more.
  expect(await isInSyncOn(cluster, lvolid, late)).toBe(false);
  await waitUntil("it is asked again", () => hold.messages.length > 1);
  hold.end();
  await cluster.waitUntilWhole();
  const client = await openVolume(head, "data");
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);
  // What it asks for holds already.
  expect((await hold.messages[0]?.deliver())?.errno).toBe(0);
  await writeAll(client, 4 * MIB, data);

  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  for (const message of hold.messages.toReversed()) expect((await message.deliver()).errno).toBe("ESTALE");
  await attach(cluster, lvolid, head);
  const again = await openVolume(head, "data");
  for (const message of hold.messages) expect((await message.deliver()).errno).toBe("ESTALE");
  const written = [0, 4 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, again, written);
});

test("a grant that arrives again after a later one of the same epoch is refused, and takes nothing away", async () => {
  const cluster = await useCluster({ storageServers: 3, diskGb: 2, gate: true });
  const head = cluster.heads[0] as TestServer;
  const grants = cluster.gate.watch({ method: "grantExtents" });
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 2, redundancy: 2, head });
  const { id, server } = await serverOfFirstMirror(cluster, lvolid);
  await server.kill();
  const data = randomData("data", 4 * MIB);
  for (const offset of [0, GIB]) await writeAll(client, offset, data);
  await cluster.waitUntilWhole([id]);

  const version = ({ params }: Message): number => Number(params.version);
  const past = grants.filter((grant) =>
    grants.some((other) => other.to === grant.to && version(other) > version(grant)),
  );
  expect(past.length).toBeGreaterThan(0);
  for (const grant of past) {
    if (grant.to !== server.plan.name) expect((await grant.deliver()).errno).toBe("ESTALE");
  }
  for (const offset of [0, GIB]) await writeAll(client, offset + 4 * MIB, data);
  const written = [0, 4 * MIB, GIB, GIB + 4 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, client, written);
});

test("an attach that reaches its head after it was given up and undone is not served", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2, diskGb: 1, gate: true });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 2 });

  const hold = cluster.gate.hold({ method: "attachLogicalVolume", to: one.plan.name });
  expect((await faultOf(attach(cluster, lvolid, one))).errno).toBe("EHOSTDOWN");
  expect(hold.messages.length).toBeGreaterThan(0);
  hold.end();
  await waitUntil(
    "the attach is undone",
    async () => (await bindStatus(cluster, lvolid)) === BindStatus.UNBOUND,
  );
  await attach(cluster, lvolid, two);
  const client = await openVolume(two, "data");
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);

  for (const message of hold.messages) {
    await message.deliver();
    expect(await endOfEvent(one, message)).toMatchObject({ status: EventStatus.ERROR, result: ESTALE });
  }
  expect(one.dataPathPids()).toEqual([]);
  expect(existsSync(one.socket("data"))).toBe(false);
  await expectSound(cluster, lvolid, client, [{ offset: 0, data }]);
});

test("an attach that reaches its head late is not served, even if the head never heard that it was undone", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2, diskGb: 1, gate: true });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 2 });

  const attaches = cluster.gate.hold({ method: "attachLogicalVolume", to: one.plan.name });
  const detaches = cluster.gate.hold({ method: "detachLogicalVolume", to: one.plan.name });
  expect((await faultOf(attach(cluster, lvolid, one))).errno).toBe("EHOSTDOWN");
  await waitUntil(
    "the attach is undone",
    async () => (await bindStatus(cluster, lvolid)) === BindStatus.UNBOUND,
  );
  attaches.end();
  await attach(cluster, lvolid, two);
  const client = await openVolume(two, "data");
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);

  const late = await attaches.next();
  await late.deliver();
  expect(await endOfEvent(one, late)).toMatchObject({ status: EventStatus.ERROR });
  await waitUntil("no process is left", () => one.dataPathPids().length === 0);
  await detaches.release();
  await expectSound(cluster, lvolid, client, [{ offset: 0, data }]);
});

test("a detach and an attach of an epoch that has ended do nothing to the volume when they are delivered once more", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, gate: true });
  const head = cluster.heads[0] as TestServer;
  const attaches = cluster.gate.watch({ method: "attachLogicalVolume" });
  const detaches = cluster.gate.watch({ method: "detachLogicalVolume" });
  const revokes = cluster.gate.watch({ method: "revokeEpoch" });
  const volume = { name: "data", gigabytes: 1, redundancy: 2, head };
  const { lvolid, client: first } = await createOpened(cluster, volume);
  await first.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await attach(cluster, lvolid, head);
  const client = await openVolume(head, "data");
  const processes = head.dataPathPids();
  const data = randomData("data", 4 * MIB);

  for (const message of [detaches[0], attaches[0], ...revokes]) {
    await message?.deliver();
    await writeAll(client, 0, data);
  }
  expect(head.dataPathPids()).toEqual(processes);
  await expectSound(cluster, lvolid, client, [{ offset: 0, data }]);
});

test("the report of a failed member that arrives when the member is in sync again changes nothing", async () => {
  const cluster = await useCluster({
    storageServers: 3,
    diskGb: 1,
    gate: true,
    manager: { replace_after: 600 },
  });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const lost = cluster.storage[1] as TestServer;

  const hold = cluster.gate.hold({ method: "reportMemberFailure" });
  await lost.kill();
  const data = randomData("missed", 4 * MIB);
  const writing = writeAll(client, 0, data);
  const late = await hold.next();
  hold.end();
  late.lose();
  await writing;
  lost.up();
  await cluster.waitUntilWhole();

  expect((await late.deliver()).errno).toBe("EAGAIN");
  expect(await isInSyncOn(cluster, lvolid, lost)).toBe(true);
  await expectSound(cluster, lvolid, client, [{ offset: 0, data }]);
});

test("the registration of a head that was held up does not speak about volumes that were attached meanwhile", async () => {
  // While its agent is restarted, the head is not to be taken for silent.
  const manager = { server_check_interval: 600 };
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, gate: true, manager });
  const head = cluster.heads[0] as TestServer;
  const hold = cluster.gate.hold({ method: "registerHeadServer" });
  await head.killControl();
  head.up();
  const late = await hold.next();
  await head.waitUntilAnswers();
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);

  expect((await late.deliver()).errno).toBe(0);
  await hold.release();
  await writeAll(client, 4 * MIB, data);
  expect(await bindStatus(cluster, lvolid)).toBe(BindStatus.BOUND);
  await expectSound(
    cluster,
    lvolid,
    client,
    [0, 4 * MIB].map((offset) => ({ offset, data })),
  );
});

/** All that manager and agents tell each other in the life of a volume. */
const methods = [
  "grantExtents",
  "revokeEpoch",
  "registerShredRequest",
  "attachLogicalVolume",
  "detachLogicalVolume",
  "replaceMirrorDisk",
  "reportMemberFailure",
  "reportMemberInSync",
  "getMirror",
];

/** Calls until it succeeds, as a user does who is told that a server does not answer. */
async function insist(what: string, call: () => Promise<unknown>): Promise<void> {
  await waitUntil(`${what} succeeds`, async () => (await call()) !== "never", 240_000);
}

/** A volume is created, written, loses a server, heals, moves to another head, and is deleted. */
async function liveThrough(cluster: TestCluster): Promise<void> {
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 2 });
  await insist("attach", () => attach(cluster, lvolid, one));
  const client = await openVolume(one, "data");
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);
  const { id, server } = await serverOfFirstMirror(cluster, lvolid);
  await server.kill();
  await writeAll(client, 4 * MIB, data);
  await cluster.waitUntilWhole([id]);
  await client.close();
  await insist("detach", () => cluster.api("detachLogicalVolume", { lvolid }));

  await insist("attach", () => attach(cluster, lvolid, two));
  const again = await openVolume(two, "data");
  expect(two.dataPathPids()).toHaveLength(1);
  server.up();
  await expectSound(
    cluster,
    lvolid,
    again,
    [0, 4 * MIB].map((offset) => ({ offset, data })),
  );
  await again.close();
  await insist("detach", () => cluster.api("detachLogicalVolume", { lvolid }));
  expect([...one.dataPathPids(), ...two.dataPathPids()]).toEqual([]);
  await cluster.api("deleteLogicalVolume", { lvolid });
  await cluster.waitUntilUsable();
  await expectConsistent(cluster);
}

test("a volume lives through it when every message is delivered twice", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2, diskGb: 2, gate: true });
  const second = methods.map((method) => cluster.gate.duplicate({ method }));
  await liveThrough(cluster);
  // Each of them was heard of, and could be told again without harm.
  const unheard = methods.filter((_, index) => second[index]?.length === 0);
  expect(unheard.filter((method) => method !== "getMirror")).toEqual([]);
});

test("a volume lives through it when the first answers of every method are lost", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2, diskGb: 2, gate: true });
  const lost = methods.map((method) => cluster.gate.loseAnswers({ method }, 3));
  await liveThrough(cluster);
  expect(lost.reduce((sum, count) => sum + count(), 0)).toBeGreaterThan(methods.length);
});
