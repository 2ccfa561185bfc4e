import { confPath, renderConf, type ServerPlan } from "../../cli/local/server.js";
import { waitUntil } from "../harness/wait-until.js";
import type { Machine } from "./machine.js";

const programs: Readonly<Record<ServerPlan["kind"], string>> = {
  manager: "/project/dist/manager/main.js",
  storage: "/project/dist/agents/storage/main.js",
  head: "/project/dist/agents/head/main.js",
};
export const LOG_FOLDER = "/data/log";
/** Starts a server of this name; part of what a machine runs after each boot. */
export const START_SCRIPT = "/data/start";
const GONE_MS = 30_000;

/**
 * Group that a server's processes run in, by which the firewall tells what they send. They are root all the same. What the kernel
 * sends for a storage server is told by its address.
 */
export const groupOf = ({ address }: Pick<ServerPlan, "address">): number =>
  1000 + Number(address.split(".").at(-1));

/**
 * A server of a cluster in a machine: a control process, and what it started. All of them carry its folder in their environment, as
 * in a local cluster.
 */
export class GuestServer {
  constructor(
    readonly plan: ServerPlan,
    private readonly machine: Machine,
  ) {}

  /** Script that makes its folder and configuration, and has it started at each boot. */
  prepareScript(): string {
    const { folder, kind } = this.plan;
    return `
      mkdir -p ${folder} ${LOG_FOLDER}
      cat >${confPath(this.plan)} <<'CONF'\n${renderConf(this.plan.conf)}\nCONF
      echo ${programs[kind]} >${folder}/program
      echo ${groupOf(this.plan)} >${folder}/group`;
  }

  /** Starts the control process. */
  async up(): Promise<void> {
    await this.machine.run(`${START_SCRIPT} ${this.plan.name}`);
  }

  /** kill -9 of all its processes. What it has in the kernel goes on. */
  async kill(): Promise<void> {
    await this.#killAll(this.#find());
  }

  /** kill -9 of the control process alone. */
  async killControl(): Promise<void> {
    await this.#killAll(this.#findControl());
  }

  /** Stops the clock of all its processes: it answers nothing, and is still alive. */
  async freeze(): Promise<void> {
    await this.machine.run(`kill -STOP $(${this.#find()})`);
  }

  async thaw(): Promise<void> {
    await this.machine.run(`kill -CONT $(${this.#find()})`);
  }

  async isRunning(): Promise<boolean> {
    return (await this.machine.run(this.#findControl())).trim() !== "";
  }

  /** From now on nothing that is sent to it or by it arrives; nobody is told. What it has in the kernel is cut off as well. */
  async cut(): Promise<void> {
    await this.machine.run(`
      nft add element inet cuts addresses { ${this.plan.address} }
      nft add element inet cuts groups { ${groupOf(this.plan)} }`);
  }

  /** What was cut is whole again. */
  async mend(): Promise<void> {
    await this.machine.run(`
      nft delete element inet cuts addresses { ${this.plan.address} }
      nft delete element inet cuts groups { ${groupOf(this.plan)} }`);
  }

  /** The ends of its logs: the control process's, and those of the processes that it started. */
  async logTail(lines = 40): Promise<string> {
    const { name, folder } = this.plan;
    return this.machine.run(
      `tail -n ${lines} ${LOG_FOLDER}/${name}.log $(find ${folder} -name '*.log') 2>&1 || true`,
    );
  }

  async #killAll(find: string): Promise<void> {
    // One of them may be starting another one while the first are killed.
    await waitUntil(
      `${this.plan.name} is gone`,
      async () => {
        const script = `pids=$(${find}); [ -z "$pids" ] || kill -9 $pids 2>/dev/null; echo $pids`;
        return (await this.machine.run(script)).trim() === "";
      },
      GONE_MS,
    );
  }

  /** Script that prints the numbers of its processes. */
  #find(): string {
    const tag = `VAS_LOCAL_FOLDER=${this.plan.folder}`;
    return `grep -lzsx ${tag} /proc/[0-9]*/environ | cut -d/ -f3`;
  }

  #findControl(): string {
    const program = programs[this.plan.kind];
    return `for pid in $(${this.#find()}); do grep -qzsx ${program} /proc/$pid/cmdline && echo $pid; done; true`;
  }
}
