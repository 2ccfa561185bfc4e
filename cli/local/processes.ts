import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../shared/clock.js";
import type { Milliseconds } from "../../shared/units.js";

/**
 * Which processes belong to a server of a local cluster. Export and volume processes outlive the process that started
 * them, so parenthood tells nothing and a list of pids goes stale. What lasts is the environment that a process was
 * started with: each is given the folder of its server, its children inherit it, and the kernel shows it in /proc. A
 * process that carries the tag was therefore started for that folder, whatever its number was used for before.
 */
export const FOLDER_TAG = "VAS_LOCAL_FOLDER";

export interface LiveProcess {
  readonly pid: number;
  /** The arguments it was started with, the program first. */
  readonly argv: readonly string[];
  /** Value of FOLDER_TAG. */
  readonly folder: string;
  readonly environment: ReadonlyMap<string, string>;
}

function readNullSeparated(path: string): string[] {
  return readFileSync(path, "utf8").split("\0");
}

function readEnvironment(pid: number): ReadonlyMap<string, string> {
  const pairs = readNullSeparated(`/proc/${pid}/environ`).map((entry): [string, string] => {
    const at = entry.indexOf("=");
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  return new Map(pairs);
}

/** Every live process that carries the tag and whose folder is accepted. Zombies have no environment any more. */
export function findProcesses(accept: (folder: string) => boolean): LiveProcess[] {
  const found: LiveProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const environment = readEnvironment(pid);
      const folder = environment.get(FOLDER_TAG);
      if (folder === undefined || !accept(folder)) continue;
      const argv = readNullSeparated(`/proc/${pid}/cmdline`).slice(0, -1);
      found.push({ pid, argv, folder, environment });
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
  return found;
}

/** Sends a signal; a process that has ended meanwhile is no error. */
export function sendSignal(processes: readonly LiveProcess[], signal: NodeJS.Signals): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/**
 * Waits until no process is found any more.
 *
 * @returns those that still live at the deadline.
 */
export async function waitUntilGone(
  find: () => LiveProcess[],
  timeout: Milliseconds,
): Promise<LiveProcess[]> {
  const deadline = systemClock.monotonic() + timeout;
  let left = find();
  while (left.length > 0 && systemClock.monotonic() < deadline) {
    await pause(50);
    left = find();
  }
  return left;
}

/**
 * Ends processes at once with SIGKILL. Asked again until none is left, since one of them may have been starting
 * another while the first were killed.
 */
export async function killAll(find: () => LiveProcess[]): Promise<void> {
  for (let left = find(); left.length > 0; left = await waitUntilGone(find, 250)) sendSignal(left, "SIGKILL");
}
