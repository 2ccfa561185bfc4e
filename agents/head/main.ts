import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../shared/clock.js";
import type { Config } from "../../shared/config.js";
import type { Log } from "../../shared/log.js";
import { headAgentMethods } from "../../shared/methods/agent-methods.js";
import { dataAddresses } from "../../shared/own-addresses.js";
import { resolveName } from "../../shared/resolve-name.js";
import { createAgentDoor } from "../common/agent-door.js";
import { type Agent, runAgent, takeStateFolder } from "../common/agent-process.js";
import { Events } from "../common/events.js";
import { Identity } from "../common/identity.js";
import { createManagerClient } from "../common/manager-client.js";
import { machineBoot } from "../common/process-record.js";
import { type Reporter, startReporter } from "../common/reporter.js";
import { openKernelProgram } from "./kernel/program.js";
import { createHeadMethods } from "./methods.js";
import { createRegistration } from "./register.js";
import { VolumeFiles } from "./volume-files.js";
import { volumePaths } from "./volume-process.js";
import { Volumes } from "./volumes.js";

/** The control process of a head server. Its volume processes outlive it. */
async function startHeadAgent(config: Config, log: Log): Promise<Agent> {
  const {
    port,
    state_dir: folder,
    run_dir: runDir,
    nbd_listen,
    member_timeout,
    snapshot_timeout,
    boot_id,
    data_plane,
  } = config.hsvr_agent;
  const {
    host_list,
    port: managerPort,
    agent_timeout,
    attach_timeout,
    detach_timeout,
  } = config.storage_manager;
  const listen = await dataAddresses(config.hsvr_agent.listen, hostname(), resolveName);
  volumePaths(runDir, 1, "name");
  const lock = await takeStateFolder(folder);
  await mkdir(runDir, { recursive: true, mode: 0o755 });

  const identity = await Identity.load(join(folder, "identity.json"));
  const files = await VolumeFiles.open(folder);
  const managers = host_list.map((host) => ({ host, port: managerPort }));
  const manager = createManagerClient({ managers, timeoutMs: agent_timeout * 1000 });
  const spec = {
    managers,
    memberTimeoutMs: member_timeout * 1000,
    snapshotTimeoutMs: snapshot_timeout * 1000,
    tcp: nbd_listen === "" ? null : { host: nbd_listen, port: 0 },
    logFormat: config.log.format,
    logLevel: config.log.level,
  };
  const entry = join(import.meta.dirname, data_plane, "volume-main.js");
  const nbd = { entry, spec: {}, remains: undefined };
  const plane = data_plane === "kernel" ? await openKernelProgram(entry, folder, runDir) : nbd;
  const program = { ...plane, runDir, spec: { ...spec, ...plane.spec } };
  const times = { attachMs: attach_timeout * 1000, detachMs: detach_timeout * 1000 };
  let reporter: Reporter | undefined;
  const volumes = new Volumes({ program, files, manager, clock: systemClock, log, ...times }, () =>
    reporter?.poke(),
  );
  // Before anything is reported: a volume that is not in the first report is fenced.
  await volumes.adoptAll();

  const events = new Events(log);
  const handlers = createHeadMethods({ volumes, events, runDir });
  const door = createAgentDoor({ methods: headAgentMethods, handlers, identity, log });
  const bound = await door.listen(listen, port);
  const boundPort = bound[0]?.port ?? port;
  const bootId = boot_id === "" ? machineBoot() : boot_id;
  const register = createRegistration({
    manager,
    identity,
    volumes,
    addresses: listen,
    port: boundPort,
    bootId,
  });
  reporter = startReporter({ register, log });

  return {
    stop: async (ending) => {
      await reporter?.stop();
      await door.close(1000);
      const quiet = events.stop();
      if (ending === "all") await volumes.stopAll();
      volumes.release();
      await quiet;
      manager.close();
      await lock.close();
    },
  };
}

// md may hold who tells it something; its volume processes, which inherit this, need threads for all else then.
process.env.UV_THREADPOOL_SIZE ??= "64";

await runAgent("vas-head-agent", { argv: process.argv.slice(2), env: process.env }, startHeadAgent);
