import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Milliseconds } from "../../shared/units.js";

/** What can be seen of a host without changing it. */
export interface Host {
  /** If a program is where administrators' programs are. */
  hasProgram(name: string): boolean;
  /** If the kernel has a module, in it, loaded or to be loaded. */
  hasModule(name: string): Promise<boolean>;
  /** If a process of this name runs. */
  isRunning(program: string): boolean;
  /** A file's text; undefined if it can't be read. */
  read(path: string): string | undefined;
  kindOf(path: string): "block" | "file" | "other" | "absent";
}

const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const MODPROBE_MS: Milliseconds = 10_000;

export const thisHost: Host = {
  hasProgram: (name) => findProgram(name) !== undefined,
  hasModule: async (name) => existsSync(`/sys/module/${name}`) || (await wouldLoad(name)),
  isRunning: (program) => processNames().includes(program),
  read: (path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
  kindOf: (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return "absent";
    if (stat.isBlockDevice()) return "block";
    return stat.isFile() ? "file" : "other";
  },
};

function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function wouldLoad(module: string): Promise<boolean> {
  const modprobe = findProgram("modprobe");
  if (modprobe === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const args = ["--dry-run", "--quiet", module];
    execFile(modprobe, args, { timeout: MODPROBE_MS }, (error) => resolve(error === null));
  });
}

function processNames(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => thisHost.read(`/proc/${pid}/comm`)?.trim() ?? []);
}
