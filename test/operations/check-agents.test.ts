import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { AgentsPort } from "../../manager/agents-port/agents-port.js";
import { checkAgents } from "../../manager/jobs/check-agents.js";
import { revokeLeftovers } from "../../manager/jobs/reconcilers/revoke-leftovers.js";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteStorageServer } from "../../manager/operations/delete-storage-server.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { listUnrevoked } from "../../manager/operations/revoke-later.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { systemClock } from "../../shared/clock.js";
import { VasError } from "../../shared/errors.js";
import { faultOf } from "../../shared/methods/faults.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { type Answers, PlayedAgent } from "./played-agent.js";
import { State } from "./state.js";

const log = pino({ level: "silent" });

function toolsFor(state: State) {
  const agents = new AgentsPort({ cluster: "c", serial: 1 }, 10_000);
  onTestFinished(() => agents.close());
  return { executor: state.executor, agents, clock: systemClock, log, signal: new AbortController().signal };
}

/** A storage server without disks, whose agent is played. */
async function playedServer(state: State, answers: Answers): Promise<{ ssvrid: number; agent: PlayedAgent }> {
  const agent = await PlayedAgent.start("127.0.0.1", answers);
  const { port } = agent;
  return {
    ssvrid: await state.run(registerStorageServer, { ip_data: ["127.0.0.1"], port, boot_id: "a" }),
    agent,
  };
}

const grant = (lvolid: number): XmlRpcValue => ({
  lvolid,
  epoch: 1,
  hsvrid: 1,
  version: 1,
  revoked: 0,
  extents: [],
});
const disk = (pdskid: number): XmlRpcValue => ({ pdskid, path: "/d", served: true, why: "", capacity: 4 });
const nothing = {
  listHoldings: () => ({ disks: [], grants: [], more: false }),
  listGenerations: () => ({ runs: [], more: false }),
};

test("a difference is told when it is found at every look, not when it goes away", async () => {
  const state = await State.open();
  const { agent } = await playedServer(state, nothing);
  expect(await checkAgents(toolsFor(state))).toEqual({ differences: [], not_compared: [] });

  let looks = 0;
  agent.answers.listHoldings = () => {
    looks += 1;
    return { disks: looks === 1 ? [disk(7), disk(8)] : [disk(8)], grants: [], more: false };
  };
  const { differences } = await checkAgents(toolsFor(state));
  expect(differences).toEqual([expect.stringContaining("ssvr-00000001 serves pdsk-00000008")]);
  expect(looks).toBeGreaterThan(2);
});

test("answers are asked for page by page", async () => {
  const state = await State.open();
  const { agent } = await playedServer(state, nothing);
  let page = 0;
  agent.answers.listHoldings = () => {
    page += 1;
    return { disks: [], grants: [grant(page)], more: page < 3 };
  };
  await checkAgents(toolsFor(state));
  expect(agent.calls.filter((method) => method === "listHoldings")).toHaveLength(3);
});

test("a server that should answer and does not is a difference, one that is known to be out is not compared", async () => {
  const state = await State.open();
  const { ssvrid, agent } = await playedServer(state, nothing);
  await agent.close();
  expect(await checkAgents(toolsFor(state))).toEqual({
    differences: [
      expect.stringContaining("storage server ssvr-00000001 is in use, but can't be asked what it holds"),
    ],
    not_compared: [],
  });
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  expect(await checkAgents(toolsFor(state))).toEqual({
    differences: [],
    not_compared: ["storage server ssvr-00000001: it is OFFLINE"],
  });
});

/** A volume that was detached while the played server could not be asked. */
async function detachedWithout(state: State, ssvrid: number): Promise<number> {
  for (const number of [1, 2]) await state.addServer(number, 4);
  const hsvrid = await state.addHead(1);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 });
  const attach = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  await state.run(finishAttach, { jobid: attach, lvolid });
  const jobid = (await state.run(beginDetach, { lvolid })) ?? 0;
  await state.claim("detach");
  await state.run(finishDetach, { jobid, lvolid, unreached: [ssvrid] });
  return lvolid;
}

test("a closed epoch is revoked at a server that could not be asked, once it is back", async () => {
  const state = await State.open();
  const tools = toolsFor(state);
  const { ssvrid, agent } = await playedServer(state, { revokeEpoch: () => 0 });
  await detachedWithout(state, ssvrid);
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  await revokeLeftovers(tools);
  expect(agent.calls).toEqual([]);

  await state.run(markHeard, { kind: "storage", id: ssvrid });
  agent.answers.revokeEpoch = () => {
    throw faultOf(new VasError("EAGAIN", "requests of the epoch still run"));
  };
  await revokeLeftovers(tools);
  agent.answers.revokeEpoch = () => 0;
  await revokeLeftovers(tools);
  await revokeLeftovers(tools);
  expect(agent.calls).toEqual(["revokeEpoch", "revokeEpoch"]);
  expect(await state.run(listUnrevoked, {})).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("what a server was still to revoke goes with it", async () => {
  const state = await State.open();
  const { ssvrid } = await playedServer(state, nothing);
  await detachedWithout(state, ssvrid);
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  await state.run(deleteStorageServer, { ssvrid });
  expect(await state.run(listUnrevoked, {})).toEqual([]);
  expect(await state.findings()).toEqual([]);
});
