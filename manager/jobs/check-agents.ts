import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "../../shared/clock.js";
import { VasError } from "../../shared/errors.js";
import { showDisk, showVolume } from "../../shared/ids.js";
import type { Milliseconds } from "../../shared/units.js";
import type { AgentsPort } from "../agents-port/agents-port.js";
import { compareHoldings, deletedDisks } from "../domain/compare-holdings.js";
import { compareRunning } from "../domain/compare-running.js";
import { type Difference, foundAgain } from "../domain/difference.js";
import type { Executor } from "../operations/operation.js";
import { type AskableServer, listAskable, readHead, readStorage } from "../operations/read-agent-views.js";
import { askHoldings, askRunning } from "./ask-agents.js";

export interface AgentCheckTools {
  readonly executor: Executor;
  readonly agents: AgentsPort;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Sentences. */
export interface AgentCheck {
  /** In what agents contradict the state. */
  readonly differences: string[];
  /** What could not be compared, and why. */
  readonly not_compared: string[];
}

/** Looks at each server with a difference, one after the other: only what each of them finds is told. */
const LOOKS = 4;
const LOOK_PAUSE: Milliseconds = 500;
/** Servers asked at a time: so many answers are held at once. */
const AT_ONCE = 16;
/** Less than callers wait. Servers that are not asked by then are not compared. */
const DEADLINE: Milliseconds = 45_000;
/** One broken rule can be broken for every extent. */
const MAX_DIFFERENCES = 1_000;

/** What one look at a server found. */
interface Look {
  readonly differences: readonly Difference[];
  readonly notCompared: readonly string[];
}

/**
 * Compares what the agents hold with the state. The state moves on meanwhile, and agents follow it: a difference is told only
 * if it is found at each of some looks, about rows that stayed the same from before the agent was asked until after.
 *
 * @throws VasError EAGAIN when the manager stops
 */
export async function checkAgents(tools: AgentCheckTools): Promise<AgentCheck> {
  const deadline = tools.clock.monotonic() + DEADLINE;
  const looks = await lookAt(() => true, deadline, tools);
  for (let count = 1; count < LOOKS; count += 1) {
    const suspects = new Set(
      [...looks].filter(([, look]) => look.differences.length > 0).map(([key]) => key),
    );
    if (suspects.size === 0) break;
    await pause(LOOK_PAUSE, undefined, { signal: tools.signal }).catch(() => undefined);
    if (tools.signal.aborted) throw new VasError("EAGAIN", "the manager is stopping");
    const again = await lookAt((key) => suspects.has(key), deadline, tools);
    for (const key of suspects) looks.set(key, narrowed(looks.get(key), again.get(key)));
  }
  const found = [...looks.values()];
  const differences = found.flatMap((look) => look.differences.map(({ sentence }) => sentence));
  const more = differences.length - MAX_DIFFERENCES;
  return {
    differences: [...differences.slice(0, MAX_DIFFERENCES), ...(more > 0 ? [`and ${more} more`] : [])],
    not_compared: found.flatMap(({ notCompared }) => notCompared),
  };
}

/** A server that is gone meanwhile contradicts nothing. */
function narrowed(before: Look | undefined, again: Look | undefined): Look {
  return {
    differences: foundAgain(before?.differences ?? [], again?.differences ?? []),
    notCompared: again?.notCompared ?? [],
  };
}

/** Looks at servers, some at a time. @returns what was found, by server */
async function lookAt(
  isWanted: (key: string) => boolean,
  deadline: Milliseconds,
  tools: AgentCheckTools,
): Promise<Map<string, Look>> {
  const looks = new Map<string, Look>();
  const servers = (await tools.executor.runQuietly(listAskable, {})).filter(({ name }) => isWanted(name));
  const waiting = servers.values();
  const worker = async (): Promise<void> => {
    for (const server of waiting) {
      if (tools.signal.aborted) return;
      const isLate = tools.clock.monotonic() >= deadline;
      const out = server.out ?? (isLate ? "there was no time left to ask it" : undefined);
      const look = out === undefined ? await lookAtServer(server, tools) : notAsked(server, out);
      looks.set(server.name, look);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return new Map(servers.flatMap(({ name }) => (looks.has(name) ? [[name, looks.get(name) as Look]] : [])));
}

function notAsked({ name }: AskableServer, why: string): Look {
  return { differences: [], notCompared: [`${name}: ${why}`] };
}

/** A server that should answer and does not is a difference, too: the manager takes it out of use when it has noticed. */
async function lookAtServer(server: AskableServer, tools: AgentCheckTools): Promise<Look> {
  try {
    return await (server.kind === "storage" ? lookAtStorage(server, tools) : lookAtHead(server, tools));
  } catch (error) {
    if (!(error instanceof VasError)) throw error;
    const sentence = `${server.name} is in use, but can't be asked what it holds: ${error.sentence}`;
    return { differences: [{ sentence, stamp: "" }], notCompared: [] };
  }
}

async function lookAtStorage({ id, name, agent }: AskableServer, tools: AgentCheckTools): Promise<Look> {
  const holdings = await askHoldings(tools.agents, agent);
  const view = await tools.executor.runQuietly(readStorage, {
    ssvrid: id,
    lvolids: holdings.grants.map(({ lvolid }) => lvolid),
    pdskids: holdings.disks.filter(({ served }) => served).map(({ pdskid }) => pdskid),
  });
  return {
    differences: compareHoldings(view, holdings),
    notCompared: deletedDisks(view, holdings).map(
      (pdskid) => `${name}: it has not heard yet that ${showDisk(pdskid)} was deleted`,
    ),
  };
}

async function lookAtHead({ id, name, agent }: AskableServer, tools: AgentCheckTools): Promise<Look> {
  const running = await askRunning(tools.agents, agent);
  const view = await tools.executor.runQuietly(readHead, {
    hsvrid: id,
    lvolids: running.map(({ lvolid }) => lvolid),
  });
  return {
    differences: compareRunning(view, running),
    notCompared: running
      .filter(({ state }) => state !== "serving")
      .map(({ lvolid, state }) => `${name}: the process of ${showVolume(lvolid)} is ${state}`),
  };
}
