import { pino } from "pino";
import { onTestFinished } from "vitest";
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
import { EventStatus } from "../../shared/states.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { PlayedAgent } from "./played-agent.js";
import { State, sectorsOf } from "./state.js";

/** The end of an event, as an agent reports it. */
export const ended = (status: number, result = 0, sentence = "") => ({
  status,
  result,
  sentence,
  progress: -1,
});
/** An answer that is a fault. */
export const fault = (code: number, text: string) => () => {
  throw new XmlRpcFault(code, text);
};

type Settings = ReturnType<typeof loadConfig>["storage_manager"];

/** Where something is waited for that does not come. */
export const impatient = { attach_timeout: 3, agent_timeout: 3 } as const;

/** A volume on two storage servers whose agents obey, and a head server that says that it serves whatever it is asked. */
export async function playedCluster(settings: Partial<Settings> = {}) {
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
  const agents = new AgentsPort({ cluster: "c", serial: 1 }, 10_000);
  onTestFinished(() => agents.close());
  const tools = {
    executor: state.executor,
    agents,
    settings: { ...loadConfig(undefined, {}).storage_manager, ...settings },
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
  return { state, storage, head, hsvrid, lvolid, handle, tryAttach, tryDetach, bindingOf };
}
