import { VasError } from "../../shared/errors.js";
import type { Milliseconds } from "../../shared/units.js";
import { pause } from "./pause.js";
import { ProgramError, runProgram } from "./run-program.js";

/** Device-mapper devices, by way of `dmsetup`. Names and UUIDs of ours begin with `vas-` and `VAS-`. */

/** A run of sectors of 512 bytes, and what they are mapped to. */
export interface Segment {
  readonly sectors: number;
  /** The target's type and arguments: `linear 8:16 2048`, `error`, `zero`. */
  readonly target: string;
}

export type DmTable = readonly Segment[];

export interface DmDevice {
  readonly name: string;
  readonly table: DmTable;
}

export interface DmInfo {
  readonly name: string;
  /** `major:minor`. */
  readonly number: string;
  /** How many have it open, other devices among them. */
  readonly opens: number;
  readonly isSuspended: boolean;
}

/** What is in flight to a disk that does not answer holds a suspend for so long at most. */
const SUSPEND_MS: Milliseconds = 20_000;
const CLOSE_MS: Milliseconds = 10_000;
const POLL_MS: Milliseconds = 50;
const UNDO_MS: Milliseconds = 2000;

export const devicePath = (name: string): string => `/dev/mapper/${name}`;

/** As `dmsetup` reads it: a line for each segment. */
export function showTable(table: DmTable): string {
  let start = 0;
  const lines = table.map(({ sectors, target }) => {
    const line = `${start} ${sectors} ${target}`;
    start += sectors;
    return line;
  });
  return lines.join("\n");
}

/** Makes devices that are not there, all by one command. @throws ProgramError; what was made by then stays */
export async function createDevices(devices: readonly DmDevice[]): Promise<void> {
  if (devices.length === 0) return;
  const concise = devices.map(({ name, table }) => `${name},${uuidOf(name)},,rw,${conciseTable(table)}`);
  // Not as an argument: tables may be longer than those can be.
  await runProgram("dmsetup", ["create", "--concise"], { input: concise.join(";") });
}

const conciseTable = (table: DmTable): string => showTable(table).replaceAll("\n", ",");

/** By this udev rules tell our devices from others'. */
const uuidOf = (name: string): string => `VAS-${name.slice("vas-".length)}`;

export interface SuspendOptions {
  /** A file system on it is brought to rest first. */
  readonly freeze?: boolean;
  /** What waits in the device, as multipath lets it wait, goes on to wait; all else that is on its way is waited for. */
  readonly keepsQueue?: boolean;
  readonly timeoutMs?: Milliseconds;
}

export interface ReplaceOptions extends SuspendOptions {
  /** Done between the two: the old table's requests have ended, and what came since waits for the new one. */
  readonly between?: () => Promise<void>;
}

/** Gives a device a table that holds from its next resume on. @throws ProgramError */
export async function loadTable(name: string, table: DmTable): Promise<void> {
  await runProgram("dmsetup", ["load", name], { input: `${showTable(table)}\n` });
}

/**
 * Gives a device another table. When this returns everything that was sent by the old one has ended, and nothing goes by it
 * any more. If it fails, or does not end in time, it is called off.
 *
 * @throws ProgramError, what `between` throws
 */
export async function replaceTable(
  name: string,
  table: DmTable,
  { between, ...options }: ReplaceOptions = {},
): Promise<void> {
  await loadTable(name, table);
  try {
    await suspend(name, options);
    await between?.();
  } catch (error) {
    // As it was: with the old table, and going on.
    await runProgram("dmsetup", ["clear", name], { timeoutMs: UNDO_MS }).catch(() => undefined);
    await runProgram("dmsetup", ["resume", name], { timeoutMs: UNDO_MS }).catch(() => undefined);
    throw error;
  }
  await resume(name);
}

/** Holds what is sent to a device from now on; what is on its way has ended when this returns. @throws ProgramError */
export async function suspend(
  name: string,
  { freeze = false, keepsQueue = false, timeoutMs = SUSPEND_MS }: SuspendOptions = {},
): Promise<void> {
  const flags = [...(freeze ? [] : ["--nolockfs"]), ...(keepsQueue ? ["--noflush"] : [])];
  await runProgram("dmsetup", ["suspend", ...flags, name], { timeoutMs });
}

export async function resume(name: string): Promise<void> {
  await runProgram("dmsetup", ["resume", name]);
}

/** Removes a device, if it is there. @throws VasError EBUSY while it is open, ProgramError */
export async function removeDevice(name: string): Promise<void> {
  try {
    await runProgram("dmsetup", ["remove", name]);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    if (/No such device/.test(error.stderr)) return;
    if (/busy/i.test(error.stderr)) throw new VasError("EBUSY", `${name} is in use`, { cause: error });
    throw error;
  }
}

/** The same for a device that was closed a moment ago: who had it open may not have let go of it altogether. */
export async function removeClosedDevice(name: string): Promise<void> {
  const deadline = AbortSignal.timeout(CLOSE_MS);
  for (;;) {
    try {
      await removeDevice(name);
      return;
    } catch (error) {
      if (!(error instanceof VasError) || deadline.aborted) throw error;
      await pause(POLL_MS, deadline);
    }
  }
}

export async function sendMessage(name: string, message: string): Promise<void> {
  await runProgram("dmsetup", ["message", name, "0", message]);
}

/** The devices whose names begin so. */
export async function listDevices(prefix: string): Promise<DmInfo[]> {
  const columns = "name,major,minor,open,suspended";
  const text = await runProgram("dmsetup", [
    ...["info", "--columns", "--noheadings", "--separator", " ", "-o", columns],
  ]);
  return text.split("\n").flatMap((line) => {
    const [name = "", major, minor, opens, suspended] = line.trim().split(" ");
    if (!name.startsWith(prefix)) return [];
    return [
      { name, number: `${major}:${minor}`, opens: Number(opens), isSuspended: suspended === "Suspended" },
    ];
  });
}

/** Status lines of the devices whose names begin so, each without start and length. @param target type of their targets */
export async function statusOf(prefix: string, target: string): Promise<Map<string, string[]>> {
  return linesByDevice(prefix, await runProgram("dmsetup", ["status", "--target", target]));
}

/** Active tables of the devices whose names begin so, as `showTable` has them. */
export async function tablesOf(prefix: string): Promise<Map<string, string>> {
  const lines = linesByDevice(prefix, await runProgram("dmsetup", ["table"]), true);
  return new Map([...lines].map(([name, table]) => [name, table.join("\n")]));
}

function linesByDevice(prefix: string, text: string, whole = false): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, name = "", place, rest = ""] = /^([^:\s]+): ?(\d+ \d+ )?(.*)$/.exec(line) ?? [];
    if (!name.startsWith(prefix) || (place === undefined && rest === "")) continue;
    const lines = found.get(name) ?? [];
    lines.push(whole ? `${place ?? ""}${rest}`.trim() : rest.trim());
    found.set(name, lines);
  }
  return found;
}
