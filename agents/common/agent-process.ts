import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Config, ConfigError, loadConfig } from "../../shared/config.js";
import { describeError, VasError } from "../../shared/errors.js";
import { createLog, type Log } from "../../shared/log.js";
import { ListenError } from "../../shared/xmlrpc/listen-error.js";
import { type ControlServer, serveControl } from "./control-socket.js";
import { DamagedFileError, syncFolder } from "./durable-file.js";

/** What the surroundings of an agent's process give it; only `main.ts` takes it from `process`. */
export interface Surroundings {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** How an agent is to end: its control process alone, or everything that it started too. */
export type Ending = "control" | "all";

export interface Agent {
  stop(ending: Ending): Promise<void>;
}

/** Time for an orderly stop, in milliseconds; after it the process ends as it is, which it survives anyway. */
const STOP_MS = 20_000;

/**
 * Runs an agent until a signal ends it: SIGTERM or SIGINT the control process alone, SIGUSR2 what it started as well.
 * Exit code 0 after an orderly end, 2 if the configuration can't be used, 1 if the agent can't be started.
 */
export async function runAgent(
  program: string,
  { argv, env }: Surroundings,
  start: (config: Config, log: Log) => Promise<Agent>,
): Promise<void> {
  let config: Config;
  try {
    const { values } = parseArgs({ args: [...argv], options: { config: { type: "string" } }, strict: true });
    config = loadConfig(values.config, env);
  } catch (error) {
    process.stderr.write(`${program}: ${describeError(error)}\n`);
    if (!(error instanceof ConfigError)) process.stderr.write(`usage: ${program} [--config FILE]\n`);
    process.exitCode = 2;
    return;
  }
  const log = createLog(program, config.log.format, config.log.level);
  for (const sentence of config.ignored) log.warn(sentence);
  const ending = waitForSignal();
  try {
    const agent = await start(config, log);
    log.info("ready");
    const how = await ending;
    log.info(how === "all" ? "stopping, with all that was started" : "stopping; what was started goes on");
    setTimeout(() => process.exit(1), STOP_MS).unref();
    await agent.stop(how);
    // Nothing is left to wait for; a handle that was forgotten must not keep us.
    process.exit(0);
  } catch (error) {
    // What an operator can put right is a sentence; a stack trace would only bury it.
    const isSentence =
      error instanceof VasError || error instanceof ListenError || error instanceof DamagedFileError;
    log.fatal(isSentence ? {} : { err: error }, `can't go on: ${describeError(error)}`);
    process.exit(1);
  }
}

/**
 * Makes a folder for durable state and takes it for this process alone.
 *
 * @throws VasError EBUSY if another process has it
 */
export async function takeStateFolder(path: string): Promise<ControlServer> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await syncFolder(path);
  return serveControl(join(path, "agent.ctl"), { status: async () => ({ pid: process.pid }) });
}

function waitForSignal(): Promise<Ending> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve("control"));
    process.once("SIGINT", () => resolve("control"));
    process.once("SIGUSR2", () => resolve("all"));
  });
}
