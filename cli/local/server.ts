import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bytes, Gigabytes, Milliseconds } from "../../shared/units.js";
import { EXTENT_UNIT_BYTES, LABEL_ROOM_BYTES } from "../../shared/units.js";
import {
  FOLDER_TAG,
  findProcesses,
  killAll,
  type LiveProcess,
  sendSignal,
  waitUntilGone,
} from "./processes.js";

export type ServerKind = "manager" | "storage" | "head";

/** Sections and keys of a vas.conf. */
export type ConfSections = Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>;

/** One server of a local cluster: where it lives and how it is configured. */
export interface ServerPlan {
  readonly kind: ServerKind;
  /** `manager`, `storage-1`, `head-2`. */
  readonly name: string;
  readonly address: string;
  /** Holds everything that is its own; absolute. */
  readonly folder: string;
  readonly conf: ConfSections;
  /** Files that it offers as disks, made if they are not there. */
  readonly disks: readonly string[];
  readonly diskGb: Gigabytes;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The compiled programs. This file itself runs from there, or from the sources in a test. */
const dist = import.meta.url.endsWith(".ts") ? join(root, "dist") : root;
const programs: Record<ServerKind, string> = {
  manager: join(dist, "manager/main.js"),
  storage: join(dist, "agents/storage/main.js"),
  head: join(dist, "agents/head/main.js"),
};

/** Size of a disk file with this many usable gigabytes. */
export const diskFileBytes = (gigabytes: Gigabytes): Bytes =>
  gigabytes * EXTENT_UNIT_BYTES + LABEL_ROOM_BYTES;

export const confPath = (plan: ServerPlan): string => join(plan.folder, "vas.conf");
export const logPath = (plan: ServerPlan): string => join(plan.folder, "log");

export function renderConf(sections: ConfSections): string {
  return Object.entries(sections)
    .map(([name, keys]) => {
      const lines = Object.entries(keys).map(([key, value]) => `${key} = ${value}`);
      return [`[${name}]`, ...lines, ""].join("\n");
    })
    .join("\n");
}

function makeSparseFile(path: string, size: Bytes): void {
  mkdirSync(dirname(path), { recursive: true });
  let file: number;
  try {
    file = openSync(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  ftruncateSync(file, size);
  closeSync(file);
}

/** One server as processes on this machine: the control process and the detached ones that it started. */
export class LocalServer {
  constructor(readonly plan: ServerPlan) {}

  /** Makes folder, configuration and disk files. A disk file that exists is kept. */
  prepare(): void {
    mkdirSync(this.plan.folder, { recursive: true });
    writeFileSync(confPath(this.plan), renderConf(this.plan.conf));
    for (const disk of this.plan.disks) makeSparseFile(disk, diskFileBytes(this.plan.diskGb));
  }

  /** Starts the control process, which outlives us: what ends a local cluster is `stop`, not the end of a terminal. */
  start(environment: NodeJS.ProcessEnv): ChildProcess {
    const log = openSync(logPath(this.plan), "a");
    const child = spawn(process.execPath, [programs[this.plan.kind], "--config", confPath(this.plan)], {
      cwd: this.plan.folder,
      detached: true,
      env: { ...environment, [FOLDER_TAG]: this.plan.folder },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    child.unref();
    return child;
  }

  /** All its live processes. */
  readonly processes = (): LiveProcess[] => findProcesses((folder) => folder === this.plan.folder);

  /** The control process; more than one only for the instant in which one refuses to be the second. */
  readonly control = (): LiveProcess[] => this.processes().filter(isControl);

  /** Export or volume processes, and what they started. */
  readonly children = (): LiveProcess[] => this.processes().filter((live) => !isControl(live));

  /** Ends all its processes with SIGKILL: the server is lost. */
  async kill(): Promise<void> {
    await killAll(this.processes);
  }

  /**
   * Ends all its processes in order, and those that take too long with SIGKILL.
   *
   * @returns true if all ended by themselves.
   */
  async stop(timeout: Milliseconds): Promise<boolean> {
    const control = this.control();
    // An agent that is told SIGTERM leaves its export or volume processes running; SIGUSR2 ends them too.
    if (control.length > 0) sendSignal(control, this.plan.kind === "manager" ? "SIGTERM" : "SIGUSR2");
    else sendSignal(this.processes(), "SIGTERM");
    const left = await waitUntilGone(this.processes, timeout);
    if (left.length === 0) return true;
    await killAll(this.processes);
    return false;
  }
}

function isControl(live: LiveProcess): boolean {
  return Object.values(programs).some((program) => live.argv[1] === program);
}
