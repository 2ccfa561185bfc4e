import { readdirSync, readFileSync, statSync } from "node:fs";
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
 * Whether anything lives of the group that the recorded process leads, or led: it itself, or a program that it started and
 * that has survived it. The kernel gives its number to no other process as long as one of the group is left; so whoever
 * has the number and another start time shows that nothing is.
 */
export function isGroupAlive(record: ProcessRecord): boolean {
  if (record.machineBoot !== machineBoot()) return false;
  if (isAlive(record)) return true;
  if (!hasGroup(record.pid)) return false;
  const leader = readStat(record.pid);
  if (leader !== undefined && leader.startTime !== record.startTime) return false;
  return pids().some((pid) => isLeftOver(pid, record));
}

/** Whether the process leads a group of its own, as one does that was started detached. */
export function leadsGroup(pid: number): boolean {
  return readStat(pid)?.group === pid;
}

/**
 * Looks for a living process by its arguments. It finds one that was started just before we died, when there was no
 * time to write its record.
 *
 * @param args the last arguments of its command line
 */
export function findByArguments(args: readonly string[], what: string): ProcessRecord | undefined {
  for (const pid of pids()) {
    const words = readOrNothing(`/proc/${pid}/cmdline`).split("\0").slice(0, -1);
    const tail = words.slice(-args.length);
    if (words.length <= args.length || tail.some((word, place) => word !== args[place])) continue;
    const record = recordProcess(pid, what);
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

interface Stat {
  readonly state: string;
  /** Number of its process group. */
  readonly group: number;
  readonly startTime: number;
}

/** Fields 3, 5 and 22 of /proc/PID/stat; the name in field 2 may hold anything, also blanks and brackets. */
function readStat(pid: number): Stat | undefined {
  const text = readOrNothing(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const group = Number(fields[5 - 3]);
  const startTime = Number(fields[22 - 3]);
  return state === undefined || state === "" || Number.isNaN(startTime)
    ? undefined
    : { state, group, startTime };
}

/** Cheap, and true too if only zombies are left of the group. */
function hasGroup(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** A process of the group, of our user, that is younger than its leader and not dead yet. */
function isLeftOver(pid: number, leader: ProcessRecord): boolean {
  const stat = readStat(pid);
  if (stat === undefined || stat.group !== leader.pid || stat.startTime < leader.startTime) return false;
  return hasOurUser(pid) && isAlive({ ...leader, pid, startTime: stat.startTime });
}

function hasOurUser(pid: number): boolean {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === process.geteuid?.();
}

function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number);
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
