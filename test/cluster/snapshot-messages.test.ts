import { expect, test } from "vitest";
import { FailureTarget } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import type { TestCluster } from "../harness/cluster.js";
import { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const LENGTH = 4 * MIB;
const volume = (head: TestServer) => ({ name: "data", gigabytes: 1, redundancy: 2, head });

/** The volume is written to, and attached anew: what is VALID still reads as it did. */
async function expectKept(
  cluster: TestCluster,
  head: TestServer,
  lvolid: number,
  content: Buffer,
): Promise<void> {
  const client = await NbdClient.connect({ path: head.socket("data") });
  await writeAll(client, 0, randomData("after", LENGTH));
  await client.close();
  await waitUntil("it is detached", async () => {
    return (await cluster.api("detachLogicalVolume", { lvolid })) === 0;
  });
  await attach(cluster, lvolid, head);
  expect(await cluster.api("listLogicalVolumes", { lvolname: "s" })).toMatchObject([
    { snapshot_status: "VALID" },
  ]);
  expect(await firstMismatch(await openVolume(head, "s"), 0, content)).toBeUndefined();
  await expectConsistent(cluster);
}

test("a deletion that arrives after it was refused, and given up by its client, ends nothing", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 4, gate: true });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, volume(head));
  const content = randomData("before", LENGTH);
  await writeAll(client, 0, content);
  await client.close();
  await cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: "s" });
  const reader = await openVolume(head, "s");
  const hold = cluster.gate.hold({ method: "deleteSnapshot" });
  const deletion = cluster.api("deleteLogicalVolume", { lvolname: "s" }).then(() => "deleted", String);
  await waitUntil(
    "it is tried again",
    () => new Set(hold.messages.map(({ params }) => params.eventid)).size > 1,
  );
  hold.end();
  await hold.messages.at(-1)?.deliver();
  expect(await deletion).toContain("EBUSY");
  await reader.close();
  await hold.messages[0]?.deliver();
  await expectKept(cluster, head, lvolid, content);
});

test("a creation that arrives again after the head's agent was started anew does not take the snapshot anew", async () => {
  const cluster = await useCluster({
    storageServers: 2,
    diskGb: 4,
    gate: true,
    manager: { server_check_interval: 600 },
  });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, volume(head));
  const content = randomData("before", LENGTH);
  await writeAll(client, 0, content);
  const creations = cluster.gate.watch({ method: "createSnapshot", to: head.plan.name });
  await cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: "s" });
  await writeAll(client, 0, randomData("between", LENGTH));
  await client.close();
  await head.killControl();
  head.up();
  await head.waitUntilAnswers();
  await creations[0]?.deliver();
  await expectKept(cluster, head, lvolid, content);
});

test("a snapshot that the old head has taken, as is heard only after the volume moved, is none", async () => {
  const cluster = await useCluster({
    storageServers: 2,
    headServers: 2,
    diskGb: 4,
    gate: true,
    // While its answer is held up, the head is not to be given up.
    manager: { agent_timeout: 30 },
  });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const { lvolid, client } = await createOpened(cluster, volume(one));
  await writeAll(client, 0, randomData("before", LENGTH));
  const hold = cluster.gate.hold({ method: "waitEvent", to: one.plan.name });
  const params = { origin_lvolid: lvolid, snapshot_lvolname: "s" };
  const creation = cluster.api("createSnapshot", params).then(() => "taken", String);
  await hold.next();
  await waitUntil("the head has taken it", async () => {
    return NbdClient.connect({ path: one.socket("s") }).then((found) => found.close().then(() => true));
  });
  const targetid = await cluster.headServerId(one);
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid });
  await waitUntil("it is attached at the other head", () => attach(cluster, lvolid, two).then(() => true));
  hold.end();
  for (const message of hold.messages) await message.deliver().catch(() => undefined);
  expect(await creation).toContain("EHOSTDOWN");
  await waitUntil("it is undone", async () => (await cluster.api("listLogicalVolumes", {})).length === 1);
  await expectConsistent(cluster);
});
