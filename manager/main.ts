#!/usr/bin/env node
import { randomUUID } from "node:crypto";
import { networkInterfaces } from "node:os";
import { parseArgs } from "node:util";
import { systemClock } from "../shared/clock.js";
import { type Config, loadConfig } from "../shared/config.js";
import { describeError } from "../shared/errors.js";
import { createLog, type Log } from "../shared/log.js";
import { managerAddress } from "../shared/own-addresses.js";
import { resolveName } from "../shared/resolve-name.js";
import { AgentsPort } from "./agents-port/agents-port.js";
import type { CallServices } from "./api/call.js";
import { createDoor } from "./api/door.js";
import { createHandlers } from "./api/handlers.js";
import { checkAgents } from "./jobs/check-agents.js";
import { attach } from "./jobs/handlers/attach.js";
import { createSnapshot } from "./jobs/handlers/create-snapshot.js";
import { deleteSnapshot } from "./jobs/handlers/delete-snapshot.js";
import { detach } from "./jobs/handlers/detach.js";
import { endMaintenance } from "./jobs/handlers/end-maintenance.js";
import { fence } from "./jobs/handlers/fence.js";
import { resync } from "./jobs/handlers/resync.js";
import { shred } from "./jobs/handlers/shred.js";
import { Reconciler, runEvery, runPeriodically } from "./jobs/reconcile.js";
import { checkServers } from "./jobs/reconcilers/check-servers.js";
import { CopyComparer } from "./jobs/reconcilers/compare-copies.js";
import { forgetEvents } from "./jobs/reconcilers/forget-events.js";
import { healMirrors } from "./jobs/reconcilers/heal-mirrors.js";
import { HeardServers } from "./jobs/reconcilers/heard-servers.js";
import { Maintenance } from "./jobs/reconcilers/maintenance.js";
import { Notices } from "./jobs/reconcilers/notices.js";
import { revokeLeftovers } from "./jobs/reconcilers/revoke-leftovers.js";
import { SilenceWatch } from "./jobs/reconcilers/silence.js";
import { JobRunner } from "./jobs/runner.js";
import { recordEvacuated } from "./operations/evacuate.js";
import { Executor } from "./operations/operation.js";
import { beginShreds } from "./operations/shred-extent.js";
import { beginSerial } from "./store/cluster.js";
import { openStore } from "./store/open-store.js";

/** How long a stopping manager waits for calls and jobs that are under way; what is left is taken up at the next start. */
const STOP_DEADLINE_MS = 5_000;
const FORGET_INTERVAL_S = 600;
/** Beyond its own deadline, what an attach may need to be undone before its caller is answered. */
const UNDO_MARGIN_MS = 5_000;

/**
 * Wires the manager and runs it until it is told to stop. The only file that knows all rooms.
 *
 * @returns how to stop it.
 */
async function startManager(path: string | undefined): Promise<{ log: Log; stop: () => Promise<void> }> {
  const config = loadConfig(path, process.env);
  const settings = config.storage_manager;
  const log = createLog("manager", config.log.format, config.log.level);
  for (const sentence of config.ignored) log.warn(sentence);
  const store = await openStore(settings.database, log);
  const identity = await store.transaction((tx) => beginSerial(tx, randomUUID()));

  const stopping = new AbortController();
  const agents = new AgentsPort(identity, settings.agent_timeout * 1_000);
  const notices = new Notices();
  const heard = new HeardServers(systemClock);
  const poke = (): void => {
    runner.poke();
    reconciler.poke();
  };
  const executor = new Executor(
    store,
    systemClock,
    identity.serial,
    settings,
    poke,
    (commit, operation, params) => log.debug({ commit, operation, params }, "committed"),
  );
  const runner = new JobRunner({
    handlers: {
      attach,
      detach,
      fence,
      "end-maintenance": endMaintenance,
      resync,
      shred,
      "create-snapshot": createSnapshot,
      "delete-snapshot": deleteSnapshot,
    },
    tools: { agents, settings, clock: systemClock, log },
    executor,
    clock: systemClock,
    log,
    maxPause: settings.max_retry_pause * 1_000,
  });
  const silence = new SilenceWatch(systemClock, {
    replaceAfter: settings.replace_after * 1_000,
    maxSilent: settings.max_silent_servers,
  });
  const comparer = new CopyComparer({ executor, agents, clock: systemClock, log, signal: stopping.signal });
  const maintenance = new Maintenance(systemClock, {
    delay: settings.maintenance_delay * 1_000,
    maxPause: settings.max_retry_pause * 1_000,
    alsoWanting: () => comparer.wanting,
  });
  const duties = [
    { name: "heal mirrors", run: () => healMirrors(executor, silence, notices, maintenance) },
    {
      name: "evacuations",
      run: async () => (await executor.runQuietly(recordEvacuated, {})) > 0,
    },
    { name: "shred", run: async () => (await executor.runQuietly(beginShreds, {})) > 0 },
  ];
  const reconciler = new Reconciler(duties, settings.reconcile_interval * 1_000, log, () => runner.poke());

  const handlers = createHandlers({
    checkAgents: () => checkAgents({ executor, agents, clock: systemClock, signal: stopping.signal }),
    onRegistered: (kind, id) => heard.note(kind, id),
    onCancelled: (jobid) => runner.interrupt(jobid),
    attachDeadline: (settings.attach_timeout + settings.agent_timeout) * 1_000 + UNDO_MARGIN_MS,
    detachDeadline: (settings.detach_timeout + settings.agent_timeout) * 1_000,
    status: () => ({
      ...identity,
      notices: notices.list(),
      progressOf: (jobid) => runner.progressOf(jobid),
    }),
  });
  const waitForJob: CallServices["waitForJob"] = (jobid, deadline) => runner.waitFor(jobid, deadline);
  const door = createDoor(handlers, { executor, waitForJob }, log);
  try {
    const address =
      settings.listen || (await managerAddress(settings.host_list, ownAddresses(), resolveName));
    const at = await door.listen(address, settings.port);
    log.info({ ...identity, ...at, database: settings.database }, "manager is up");
  } catch (error) {
    await store.close();
    throw error;
  }
  await runner.start();
  reconciler.start();
  const watch = {
    executor,
    agents,
    log,
    clock: systemClock,
    heard,
    retryPause: settings.server_check_retry * 1_000,
    signal: stopping.signal,
  };
  const periodic = [
    runEvery("server check", settings.server_check_interval * 1_000, () => checkServers(watch), log),
    runEvery(
      "revoke leftovers",
      settings.reconcile_interval * 1_000,
      () => revokeLeftovers({ executor, agents, log, signal: stopping.signal }),
      log,
    ),
    runEvery(
      "compare copies",
      comparePeriod(settings),
      async () => {
        if (settings.compare_interval > 0) await comparer.run();
      },
      log,
    ),
    runPeriodically("forget old events", FORGET_INTERVAL_S, () => forgetEvents(executor), log),
  ];

  const stop = async (): Promise<void> => {
    stopping.abort();
    for (const task of periodic) await task.destroy();
    // Jobs first: callers that wait for them are answered, and the door can close.
    await Promise.all([reconciler.stop(), runner.stop(STOP_DEADLINE_MS)]);
    await door.close(STOP_DEADLINE_MS);
    agents.close();
    await store.close();
    log.info("manager is down");
  };
  return { log, stop };
}

/** How often it is looked whose copies are due: often enough for the interval, and not at each round of the reconcilers. */
function comparePeriod({ compare_interval, reconcile_interval }: Config["storage_manager"]): number {
  return Math.max(reconcile_interval, Math.min(60, compare_interval / 100)) * 1_000;
}

function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return new Set(all.map(({ address }) => address));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: "string" } } });
  const { log, stop } = await startManager(values.config);
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "stopping failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
}

main().catch((error: unknown) => {
  process.stderr.write(`vas manager: ${describeError(error)}\n`);
  process.exit(1);
});
