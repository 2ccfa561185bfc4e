import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";

/**
 * What tells a process from a later one with the same pid: the time when it started, in clock ticks since the machine's
 * boot, and that boot. Written down durably, it finds the process again after our own restart.
 */
export const processRecord = z.object({
  pid: z.number().int().min(1),
  startTime: z.number().int().min(0),
  machineBoot: z.string(),
  /** For people: what the process is, for example `export of pdsk-00000001`. */
  what: z.string(),
});
export type ProcessRecord = z.infer<typeof processRecord>;

/** @returns undefined if no such process lives now */
export function recordProcess(pid: number, what: string): ProcessRecord | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  return { pid, startTime: stat.startTime, machineBoot: machineBoot(), what };
}

/**
 * Whether the recorded process can still do anything. A zombie counts as dead only when it is the last thread of its
 * process: after a SIGKILL the first thread can be a zombie while another one is still inside a write to a disk.
 */
export function isAlive(record: ProcessRecord): boolean {
  if (record.machineBoot !== machineBoot()) return false;
  const stat = readStat(record.pid);
  if (stat === undefined || stat.startTime !== record.startTime) return false;
  if (stat.state !== "Z" && stat.state !== "X") return true;
  return otherThreads(record.pid) > 0;
}

/**
 * Looks for a living process by its arguments. It finds one that was started just before we died, when there was no
 * time to write its record.
 *
 * @param args the last arguments of its command line
 */
export function findByArguments(args: readonly string[], what: string): ProcessRecord | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    const words = readOrNothing(`/proc/${name}/cmdline`).split("\0").slice(0, -1);
    const tail = words.slice(-args.length);
    if (words.length <= args.length || tail.some((word, place) => word !== args[place])) continue;
    const record = recordProcess(Number(name), what);
    if (record !== undefined) return record;
  }
  return undefined;
}

let boot: string | undefined;

/** The id of this boot of the machine. */
export function machineBoot(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return boot;
}

/** Fields 3 and 22 of /proc/PID/stat; the name in field 2 may hold anything, also blanks and brackets. */
function readStat(pid: number): { readonly state: string; readonly startTime: number } | undefined {
  const text = readOrNothing(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const startTime = Number(fields[22 - 3]);
  return state === undefined || state === "" || Number.isNaN(startTime) ? undefined : { state, startTime };
}

function otherThreads(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).length - 1;
  } catch {
    return 0;
  }
}

/** A process may vanish between any two looks at it. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
