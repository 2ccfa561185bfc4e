import { expect, test } from "vitest";
import { MANAGER_PORT } from "../../cli/local/plan.js";
import { BindEvent, BindStatus } from "../../shared/states.js";
import type { TestCluster } from "../harness/cluster.js";
import { faultOf } from "../harness/fault-of.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { waitUntil } from "../harness/wait-until.js";
import { RawConnection } from "../xmlrpc/raw-connection.js";
import { requestOf } from "./call-request.js";

const LISTS = 80;
const CREATES = 20;
/** Of an agent's answer; a frozen one is given up after it. */
const PATIENT = { agent_timeout: 60 };
const VOLUME = { lvolname: "data", capacity: 1, redundancy: 2 };

/** A cluster with one volume that is not attached yet, and whose head server answers nothing. */
async function frozenHead(manager: Readonly<Record<string, number>>) {
  const cluster = await useCluster({ storageServers: 2, diskGb: 24, manager });
  const head = cluster.heads[0] as TestServer;
  const lvolid = await cluster.api("createLogicalVolume", VOLUME);
  const call = { lvolid, hsvrid: await cluster.headServerId(head) };
  head.freeze();
  return { cluster, head, call };
}

const connectTo = ({ manager }: TestCluster): Promise<RawConnection> =>
  RawConnection.open(MANAGER_PORT, manager.rpcAddress);

async function waitForBinding(cluster: TestCluster, bind_event: number, bind_status: number): Promise<void> {
  await waitUntil(`bind_event is ${bind_event}, bind_status ${bind_status}`, async () => {
    const [volume] = await cluster.api("listLogicalVolumes", { lvolname: VOLUME.lvolname });
    return volume?.bind_event === bind_event && volume.bind_status === bind_status;
  });
}

test("while an attach waits for its head server until its deadline, a hundred other calls are answered", async () => {
  const { cluster, head, call } = await frozenHead({ agent_timeout: 30, server_check_interval: 600 });
  let isOver = false;
  const refused = faultOf(cluster.api("attachLogicalVolume", call)).finally(() => {
    isOver = true;
  });
  await waitForBinding(cluster, BindEvent.BINDING, BindStatus.UNBOUND);

  const lists = Array.from({ length: LISTS }, () => cluster.api("listLogicalVolumes", {}));
  const creates = Array.from({ length: CREATES }, (_, n) =>
    cluster.api("createLogicalVolume", { ...VOLUME, lvolname: `other-${n}` }),
  );
  expect(await Promise.all(lists)).toHaveLength(LISTS);
  expect(new Set(await Promise.all(creates)).size).toBe(CREATES);
  expect(isOver).toBe(false);

  expect((await refused).errno).toMatch(/^(EHOSTDOWN|ETIMEDOUT)$/);
  head.thaw();
  await waitForBinding(cluster, BindEvent.NONE, BindStatus.UNBOUND);
  await expectConsistent(cluster);
});

test.each<[string, (connection: RawConnection) => void]>([
  ["resets its connection", (connection) => connection.reset()],
  ["is gone", (connection) => connection.leave()],
])("an attach whose client %s goes on, and the volume is attached in the end", async (_name, end) => {
  const { cluster, head, call } = await frozenHead(PATIENT);
  const connection = await connectTo(cluster);
  await connection.sendAll(requestOf("attachLogicalVolume", call));
  await waitForBinding(cluster, BindEvent.BINDING, BindStatus.UNBOUND);
  end(connection);
  head.thaw();
  await waitForBinding(cluster, BindEvent.NONE, BindStatus.BOUND);
  await expectConsistent(cluster);
});

test("a client that ends only its side of the connection gets its answer, however long it takes", async () => {
  const { cluster, head, call } = await frozenHead(PATIENT);
  const connection = await connectTo(cluster);
  await connection.sendAll(requestOf("attachLogicalVolume", call));
  connection.end();
  await waitForBinding(cluster, BindEvent.BINDING, BindStatus.UNBOUND);
  expect(connection.received).toBe("");
  head.thaw();
  await connection.until("the answer", ({ received }) => received.includes("<params>"));
  expect(connection.received).toContain("<value><int>0</int></value>");
  await connection.until("the end", ({ closed }) => closed);
  await waitForBinding(cluster, BindEvent.NONE, BindStatus.BOUND);
  await expectConsistent(cluster);
});

test("a create whose client leaves with the last byte makes its volume, once", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 24 });
  const names = Array.from({ length: CREATES }, (_, n) => `left-${n}`);
  for (const lvolname of names) {
    const connection = await connectTo(cluster);
    await connection.sendAll(requestOf("createLogicalVolume", { ...VOLUME, lvolname }));
    connection.leave();
  }
  const listed = async () => (await cluster.api("listLogicalVolumes", {})).map(({ lvolname }) => lvolname);
  await waitUntil("all volumes are there", async () => (await listed()).length >= CREATES);
  expect((await listed()).sort()).toEqual([...names].sort());
  await expectConsistent(cluster);
});
