import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "../../../shared/clock.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import type { AgentsPort } from "../../agents-port/agents-port.js";
import type { Executor } from "../../operations/operation.js";
import {
  listWatchedServers,
  markHeard,
  markSilent,
  type WatchedServer,
} from "../../operations/watch-servers.js";
import type { HeardServers } from "./heard-servers.js";

export interface ServerCheck {
  readonly executor: Executor;
  readonly agents: AgentsPort;
  readonly clock: Clock;
  readonly heard: HeardServers;
  readonly log: Log;
  /** Before a server that did not answer is asked once more. */
  readonly retryPause: Milliseconds;
  readonly signal: AbortSignal;
}

/** Asks every server if it is there. One that misses two questions is OFFLINE by silence; one that is back is in use. */
export async function checkServers(check: ServerCheck): Promise<void> {
  const servers = await check.executor.runQuietly(listWatchedServers, {});
  await Promise.all(servers.map((server) => checkServer(server, check)));
}

async function checkServer(server: WatchedServer, check: ServerCheck): Promise<void> {
  const { executor, log, clock, heard } = check;
  const { kind, id } = server;
  const asked = clock.monotonic();
  if (await answers(server, check)) {
    if (server.silent) {
      log.info({ kind, id }, "a silent server answers again");
      await executor.run(markHeard, { kind, id });
    }
    return;
  }
  if (server.silent) return;
  await pause(check.retryPause, undefined, { signal: check.signal }).catch(() => undefined);
  if (check.signal.aborted || (await answers(server, check))) return;
  // It may have come back while the questions to its earlier life ran into their deadline.
  if (heard.isHeardSince(kind, id, asked)) return;
  log.warn({ kind, id }, "a server does not answer");
  await executor.run(markSilent, { kind, id });
}

async function answers(server: WatchedServer, { agents }: ServerCheck): Promise<boolean> {
  const call =
    server.kind === "head"
      ? agents.callHead(server.agent, "helloWorld", {})
      : agents.callStorage(server.agent, "helloWorld", {});
  return call.then(
    () => true,
    () => false,
  );
}
