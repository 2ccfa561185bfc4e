import type { AgentAddress } from "../../shared/agent-address.js";
import type { KnownGeneration, RunningVolume, StorageHoldings } from "../../shared/methods/agent-methods.js";
import type { AgentsPort } from "../agents-port/agents-port.js";
import type { Holdings } from "../domain/compare-holdings.js";

/** Beyond any real server; one that never comes to an end is not asked for ever. */
const MAX_PAGES = 1_000;
/** A head asks the processes of its volumes, each for a second at most, before it answers. */
const HEAD_MS = 10_000;

/** All that a storage server holds, page by page. @throws VasError as `AgentsPort` */
export async function askHoldings(agents: AgentsPort, agent: AgentAddress): Promise<Holdings> {
  const grants: StorageHoldings["grants"][number][] = [];
  let disks: StorageHoldings["disks"] = [];
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await agents.callStorage(agent, "listHoldings", { after: grants.at(-1)?.lvolid ?? 0 });
    disks = answer.disks;
    grants.push(...answer.grants);
    if (!answer.more) break;
  }
  return { disks, grants, runs: await askGenerations(agents, agent) };
}

async function askGenerations(agents: AgentsPort, agent: AgentAddress): Promise<KnownGeneration[]> {
  const runs: KnownGeneration[] = [];
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const last = runs.at(-1);
    const after = last === undefined ? {} : { after_pdskid: last.pdskid, after_offset: last.offset };
    const answer = await agents.callStorage(agent, "listGenerations", after);
    runs.push(...answer.runs);
    if (!answer.more) break;
  }
  return runs;
}

/** All volumes that a head server runs, page by page. @throws VasError as `AgentsPort` */
export async function askRunning(agents: AgentsPort, agent: AgentAddress): Promise<RunningVolume[]> {
  const volumes: RunningVolume[] = [];
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const after = volumes.at(-1)?.lvolid ?? 0;
    const answer = await agents.callHead(agent, "listRunning", { after }, HEAD_MS);
    volumes.push(...answer.volumes);
    if (!answer.more) break;
  }
  return volumes;
}
