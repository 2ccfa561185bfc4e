import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Milliseconds } from "../../shared/units.js";
import { pause } from "./pause.js";
import { isAlive, isGroupAlive, leadsGroup, type ProcessRecord, recordProcess } from "./process-record.js";

/** A Node program to start in a session of its own, so that it outlives us. */
export interface DetachedProgram {
  /** Absolute path of its compiled entry. */
  readonly entry: string;
  readonly args: readonly string[];
  /** Its output is appended here. */
  readonly logFile: string;
  readonly what: string;
}

/** A process that runs on its own and that we watch. */
export interface DetachedProcess {
  readonly record: ProcessRecord;
  /** Resolves when it is dead, with its exit code; undefined if a signal ended it or if it is not our own child. */
  readonly exited: Promise<number | undefined>;
  /** Ends watching; `exited` may then stay unresolved. The process is not touched. */
  release(): void;
}

/** The process did not end although it was killed, most likely because its disk holds it in the kernel. */
export class ProcessNotGoneError extends Error {
  override readonly name = "ProcessNotGoneError";
}

const WATCH_INTERVAL_MS: Milliseconds = 200;
const GONE_INTERVAL_MS: Milliseconds = 5;

/**
 * Starts a program that outlives us.
 *
 * @throws Error if it can't be started or ends at once
 */
export async function startDetached(program: DetachedProgram): Promise<DetachedProcess> {
  const output = openSync(program.logFile, "a", 0o600);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [program.entry, ...program.args], {
      detached: true,
      cwd: "/",
      stdio: ["ignore", output, output],
    });
  } finally {
    closeSync(output);
  }
  const exited = new Promise<number | undefined>((resolve) => {
    child.once("exit", (code) => resolve(code ?? undefined));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.unref();
  const record = child.pid === undefined ? undefined : recordProcess(child.pid, program.what);
  if (record === undefined) throw new Error(`${program.what} ended at once; see ${program.logFile}`);
  return { record, exited, release: () => undefined };
}

/** Watches a process that an earlier life of ours started. */
export function adoptDetached(record: ProcessRecord): DetachedProcess {
  const released = new AbortController();
  const exited = new Promise<undefined>((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(record)) return;
      clearInterval(timer);
      resolve(undefined);
    }, WATCH_INTERVAL_MS);
    timer.unref();
    released.signal.addEventListener("abort", () => clearInterval(timer));
  });
  return { record, exited, release: () => released.abort() };
}

/** Asks a process to end by itself (SIGTERM); it is not waited for. */
export function terminate(record: ProcessRecord): void {
  if (isAlive(record)) signal(record.pid, "SIGTERM");
}

/**
 * Kills a process with all that it started, also if it itself is dead already, and waits until nothing of them can run
 * any more: a tool that zeroes a range would go on doing so after its process.
 *
 * @throws ProcessNotGoneError if that is not so at the deadline
 */
export async function kill9AndWait(record: ProcessRecord, deadlineMs: Milliseconds): Promise<void> {
  if (isGroupAlive(record)) signalGroup(record);
  await waitUntilGone(record, deadlineMs);
}

/** @throws ProcessNotGoneError if the process, or something that it started, lives at the deadline */
export async function waitUntilGone(record: ProcessRecord, deadlineMs: Milliseconds): Promise<void> {
  const deadline = AbortSignal.timeout(deadlineMs);
  while (isGroupAlive(record)) {
    if (deadline.aborted) {
      throw new ProcessNotGoneError(
        `${record.what} (process ${record.pid}) still lives after ${deadlineMs} ms`,
      );
    }
    await pause(GONE_INTERVAL_MS, deadline);
  }
}

function signalGroup(record: ProcessRecord): void {
  // One that leads no group was started by hand.
  const isAlone = isAlive(record) && !leadsGroup(record.pid);
  signal(isAlone ? record.pid : -record.pid, "SIGKILL");
}

function signal(target: number, name: NodeJS.Signals): void {
  try {
    process.kill(target, name);
  } catch (error) {
    // It ended by itself in between.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
