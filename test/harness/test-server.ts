import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { killAll, sendSignal } from "../../cli/local/processes.js";
import { LocalServer, logPath, type ServerPlan } from "../../cli/local/server.js";
import { MIB } from "../../shared/units.js";
import { createXmlRpcClient } from "../../shared/xmlrpc/client.js";
import type { Network } from "./network.js";
import { waitUntil } from "./wait-until.js";

const HEAD_PORT = 8882;
const STORAGE_PORT = 8883;

/** A server of a test cluster, and what a tester does to it. */
export class TestServer extends LocalServer {
  /** Environment of control processes started from now on, besides the usual one. */
  moreEnvironment: NodeJS.ProcessEnv = {};

  constructor(
    plan: ServerPlan,
    private readonly environment: NodeJS.ProcessEnv,
    private readonly network?: Network,
  ) {
    super(plan);
  }

  /** Where the test process reaches its XML-RPC; its own address, unless that is in a network namespace. */
  get rpcAddress(): string {
    return this.network?.outerAddress(this.plan) ?? this.plan.address;
  }

  /** Starts the control process; what else it needs it starts, or finds, by itself. */
  up(): ChildProcess {
    const environment = { ...this.environment, ...this.moreEnvironment };
    return this.network?.start(this.plan, environment) ?? this.start(environment);
  }

  /** kill -9 of the control process alone: its export and volume processes go on. */
  async killControl(): Promise<void> {
    await killAll(this.control);
  }

  /** Stops the clock of all its processes: it answers nothing, and is still alive. */
  freeze(): void {
    sendSignal(this.processes(), "SIGSTOP");
  }

  thaw(): void {
    sendSignal(this.processes(), "SIGCONT");
  }

  /** Waits until its agent answers calls. */
  async waitUntilAnswers(timeoutMs = 120_000): Promise<void> {
    const port = this.plan.kind === "head" ? HEAD_PORT : STORAGE_PORT;
    const addresses = [{ host: this.rpcAddress, port }];
    const rpc = createXmlRpcClient({ addresses, timeoutMs: 1000, maxResponseBytes: MIB });
    const answers = async (): Promise<boolean> => (await rpc.call("helloWorld", {})) === 0;
    await waitUntil(`${this.plan.name} answers`, answers, timeoutMs).finally(() => rpc.close());
  }

  /** The programs of its data path: export processes, or volume processes. */
  dataPathPids(): number[] {
    return this.children()
      .filter(({ argv }) => argv[0] === process.execPath)
      .map(({ pid }) => pid)
      .sort((a, b) => a - b);
  }

  /** Path of the socket of a volume that is attached here. Head servers only. */
  socket(volumeName: string): string {
    return join(String(this.plan.conf.hsvr_agent?.run_dir), volumeName);
  }

  /** The ends of its logs: the control process's, and those of the processes that it started. */
  logTail(lines = 40): string {
    const own = [logPath(this.plan), ...logFilesBelow(this.plan.folder)];
    return own.map((path) => `${path}:\n${tailOf(path, lines)}`).join("\n");
  }
}

function logFilesBelow(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  return names.filter((name) => name.endsWith(".log")).map((name) => join(folder, name));
}

function tailOf(path: string, lines: number): string {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(-lines).join("\n") : "(no log)";
}
