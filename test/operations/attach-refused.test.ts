import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { AgentsPort } from "../../manager/agents-port/agents-port.js";
import type { Handler } from "../../manager/jobs/handler.js";
import { attach } from "../../manager/jobs/handlers/attach.js";
import { detach } from "../../manager/jobs/handlers/detach.js";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { readJob } from "../../manager/operations/claim-jobs.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import type { JobKind } from "../../manager/store/jobs.js";
import { systemClock } from "../../shared/clock.js";
import { loadConfig } from "../../shared/config.js";
import { BindEvent, BindStatus, EventStatus } from "../../shared/states.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { PlayedAgent } from "./played-agent.js";
import { State, sectorsOf } from "./state.js";

const ended = (status: number, result = 0, sentence = "") => ({ status, result, sentence, progress: -1 });
const fault = (code: number, text: string) => () => {
  throw new XmlRpcFault(code, text);
};

/** A volume on two storage servers whose agents obey, and a head server that says that it serves whatever it is asked. */
async function world() {
  const state = await State.open();
  const storage = [];
  for (const number of [2, 3]) {
    const agent = await PlayedAgent.start(`127.0.0.${number}`, {
      grantExtents: () => 0,
      revokeEpoch: () => 0,
    });
    const server = { ip_data: [agent.address], port: agent.port, boot_id: "b" };
    const ssvrid = await state.run(registerStorageServer, server);
    await state.run(registerPhysicalDisk, { ssvrid, local_path: "/dev/sdb", capacity: sectorsOf(4) });
    storage.push(agent);
  }
  await state.finishShreds();
  const head = await PlayedAgent.start("127.0.0.1", {
    attachLogicalVolume: () => 0,
    detachLogicalVolume: () => 0,
    waitEvent: () => ended(EventStatus.DONE),
  });
  const server = { ip_data: [head.address], port: head.port, boot_id: "b", running: [] };
  const hsvrid = await state.run(registerHeadServer, server);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 });
  const agents = new AgentsPort({ cluster: "c", serial: 1 }, 1_000);
  onTestFinished(() => agents.close());
  const tools = {
    executor: state.executor,
    agents,
    settings: { ...loadConfig(undefined, {}).storage_manager, attach_timeout: 3, agent_timeout: 1 },
    clock: systemClock,
    log: pino({ level: "silent" }),
    signal: new AbortController().signal,
    progress: () => undefined,
  };
  const handle = async (kind: JobKind, handler: Handler) => {
    const [job] = await state.claim(kind);
    if (job === undefined) throw new Error(`there is no job of the kind ${kind}`);
    await handler(job, tools);
    return state.run(readJob, { jobid: job.jobid });
  };
  const bindingOf = async () => {
    const volume = (await state.run(readAttachment, { lvolid }))?.volume;
    const { bind_status, bind_event, epoch_open, hsvrid: at, bind_error } = volume ?? {};
    return { bind_status, bind_event, epoch_open, hsvrid: at, bind_error };
  };
  const tryAttach = async () => {
    await state.run(beginAttach, { lvolid, hsvrid });
    return handle("attach", attach);
  };
  const tryDetach = async () => {
    await state.run(beginDetach, { lvolid });
    return handle("detach", detach);
  };
  return { state, storage, head, hsvrid, lvolid, tryAttach, tryDetach, bindingOf };
}

test.each([
  { code: 22, text: "EINVAL: no such tree", result: "EINVAL" },
  { code: 1, text: "EPERM: the agent belongs to another cluster", result: "EPERM" },
  { code: 116, text: "ESTALE: a higher epoch was detached", result: "ESTALE" },
  { code: 16, text: "EBUSY: not now", result: "EBUSY" },
  { code: 9_999, text: "what nobody knows", result: "EIO" },
  { code: 500, text: "a defect of the agent", result: "EIO" },
])("a head that refuses with fault $code leaves the volume in ERROR; a detach clears it", async (refusal) => {
  const { state, storage, head, hsvrid, tryAttach, tryDetach, bindingOf } = await world();
  const { code, text, result } = refusal;
  head.answers.attachLogicalVolume = fault(code, text);
  const sentence = expect.stringContaining(text.replace(/^[A-Z]+: /, ""));
  expect(await tryAttach()).toMatchObject({ result, last_error: sentence });
  expect(await bindingOf()).toMatchObject({
    bind_status: BindStatus.ERROR,
    bind_event: BindEvent.NONE,
    epoch_open: 0,
    hsvrid,
    bind_error: sentence,
  });
  expect(head.calls).not.toContain("detachLogicalVolume");
  expect(await state.findings()).toEqual([]);

  // What may have been granted is taken back before the volume is free (R11).
  await tryDetach();
  expect(head.calls).toContain("detachLogicalVolume");
  for (const agent of storage) expect(agent.calls.at(-1)).toBe("revokeEpoch");
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  head.answers.attachLogicalVolume = () => 0;
  await tryAttach();
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.BOUND, epoch_open: 1 });
  expect(await state.findings()).toEqual([]);
});

test("an error that the head reports later does the same", async () => {
  const { head, tryAttach, bindingOf } = await world();
  head.answers.waitEvent = () => ended(EventStatus.ERROR, 28, "no room for the socket");
  expect(await tryAttach()).toMatchObject({ result: "ENOSPC", last_error: "no room for the socket" });
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.ERROR, epoch_open: 0 });
});

test("a head that does not answer, or not in time, has its attach undone", async () => {
  const silent = await world();
  await silent.head.close();
  expect(await silent.tryAttach()).toMatchObject({ result: "EHOSTDOWN" });
  expect(await silent.bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  const slow = await world();
  slow.head.answers.waitEvent = () => ended(EventStatus.PROGRESS);
  expect(await slow.tryAttach()).toMatchObject({ result: "ETIMEDOUT" });
  expect(await slow.bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
});

test("a storage server that refuses the grant has the attach undone, and the head never hears of it", async () => {
  const { storage, head, tryAttach, bindingOf } = await world();
  const [agent] = storage;
  if (agent !== undefined) agent.answers.grantExtents = fault(1, "EPERM: another cluster");
  const job = await tryAttach().catch((error: unknown) => error);
  expect(job).toMatchObject({ result: "EPERM" });
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  expect(head.calls).toEqual([]);
});
