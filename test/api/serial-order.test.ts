import { expect, onTestFinished, test } from "vitest";
import { MANAGER_PORT } from "../../cli/local/plan.js";
import { logPath } from "../../cli/local/server.js";
import { FailureTarget } from "../../shared/states.js";
import { TestCluster } from "../harness/cluster.js";
import { randomData, seed } from "../harness/random-data.js";
import { expectConsistent } from "../harness/use-cluster.js";
import { waitUntil } from "../harness/wait-until.js";
import { readManagerLog } from "./serial-order/manager-log.js";
import { ModelState } from "./serial-order/model-state.js";
import { AddressedClient, type MadeCall, type Pick, randomCall } from "./serial-order/random-client.js";
import { replay } from "./serial-order/replay.js";

const CLIENTS = 16;
const CALLS = 200;
const HEADS = 3;
/** The last head server is reported as failed by the first client at this call of its own. */
const FAILURE_AT = 120;

/** Numbers that are the same for the same seed and name. */
function picker(name: string): Pick {
  const numbers = randomData(name, 4 * 64 * CALLS);
  let at = 0;
  return (bound) => numbers.readUInt32LE((at++ * 4) % numbers.length) % bound;
}

async function startCluster(): Promise<TestCluster> {
  // Nothing but the calls and their jobs is to change anything: no server is ever taken for silent.
  const patient = { server_check_interval: 3600, replace_after: 3600, agent_timeout: 60 };
  const manager = { ...patient, attach_timeout: 120, detach_timeout: 120 };
  const options = { storageServers: 3, headServers: HEADS, disksPerServer: 2, diskGb: 500 };
  const cluster = await TestCluster.create({ ...options, manager, head: { member_timeout: 60 } });
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") process.stderr.write(`VAS_SEED=${seed}\n${cluster.logTails()}\n`);
    await cluster.destroy();
  });
  cluster.manager.moreEnvironment = { VAS_LOG_FORMAT: "json", VAS_LOG_LEVEL: "debug" };
  await cluster.start();
  return cluster;
}

/** Makes the calls of one client, one after the other. */
async function makeCalls(client: AddressedClient, number: number, ids: number[]): Promise<MadeCall[]> {
  const pick = picker(`client ${number}`);
  const made: MadeCall[] = [];
  for (let count = 0; count < CALLS; count += 1) {
    const failure = { method: "notifyFailure", params: { target: FailureTarget.HSVR, targetid: HEADS } };
    const { method, params } = number === 0 && count === FAILURE_AT ? failure : randomCall(pick, ids, HEADS);
    const answer = await client.call(method, params);
    made.push({ method, params, answer });
    if (method.startsWith("create") && "value" in answer) ids.push(Number(answer.value));
  }
  return made;
}

test("what 16 clients are answered at once is what the order of the commits gives", async () => {
  const cluster = await startCluster();
  const prefix = cluster.manager.plan.address.slice(0, cluster.manager.plan.address.lastIndexOf(".") + 1);
  const clients = Array.from(
    { length: CLIENTS },
    (_, index) => new AddressedClient(`${prefix}${100 + index}`, cluster.manager.plan.address, MANAGER_PORT),
  );
  const ids: number[] = [];
  const made = new Map(
    await Promise.all(
      clients.map(async (client, index) => [client.address, await makeCalls(client, index, ids)] as const),
    ),
  );
  for (const client of clients) client.close();
  await waitUntil("no volume is on its way any more", async () =>
    (await cluster.api("listLogicalVolumes", {})).every(({ bind_event }) => bind_event === 0),
  );

  const state = new ModelState();
  for (let head = 1; head <= HEADS; head += 1) state.heads.set(head, "up");
  const log = readManagerLog(logPath(cluster.manager.plan));
  expect(replay(state, log, made), `VAS_SEED=${seed}`).toEqual([]);
  // Without these the test would have looked at little.
  const answers = [...made.values()].flat().filter(({ answer }) => "value" in answer);
  for (const method of [
    "createLogicalVolume",
    "createSnapshot",
    "attachLogicalVolume",
    "detachLogicalVolume",
  ])
    expect(answers.filter((call) => call.method === method).length, method).toBeGreaterThan(20);
  await expectConsistent(cluster);
});
