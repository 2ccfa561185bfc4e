import { readdir, readFile, realpath, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Gigabytes, type Milliseconds, SECTOR_BYTES } from "../../../shared/units.js";
import { devicePath } from "../../common/device-mapper.js";
import { pause } from "../../common/pause.js";
import { ProgramError, runProgram } from "../../common/run-program.js";

/** md RAID 1 arrays: made and added to by `mdadm`, all else by way of sysfs, which takes no process. */

/** A member, as md sees it. */
export interface ArrayMember {
  /** Name of its device-mapper device. */
  readonly device: string;
  /** The kernel's name of it, as in `md/dev-dm-3`. */
  readonly kernelName: string;
  /** `in_sync`, `faulty`, `spare`, `writemostly`, … */
  readonly words: ReadonlySet<string>;
}

export interface ArrayState {
  /** Places for members, taken or not. */
  readonly places: number;
  readonly members: readonly ArrayMember[];
  /** What has been copied of what is to be, in sectors; undefined if nothing is being copied. */
  readonly sync: { readonly done: number; readonly total: number } | undefined;
}

/** What `mdadm --examine` tells of a device. */
export interface Examined {
  readonly uuid: string;
  readonly events: number;
}

export interface NewArray {
  readonly name: string;
  readonly mirrorid: number;
  readonly gigabytes: Gigabytes;
  readonly places: number;
  /** Names of device-mapper devices whose content is the same. */
  readonly members: readonly string[];
}

const REMOVE_MS: Milliseconds = 20_000;
const TELL_MS: Milliseconds = 20_000;
const POLL_MS: Milliseconds = 50;
const MDADM_MS: Milliseconds = 60_000;
const never = new AbortController().signal;

export const arrayPath = (name: string): string => `/dev/md_${name}`;
const sysfs = (name: string): string => `/sys/block/md_${name}/md`;

/** By this a mirror's members are told from whatever else lies on a disk. */
export function arrayUuid(mirrorid: number): string {
  const id = mirrorid.toString(16).padStart(8, "0");
  return `56415354:534b5920:6d697272:${id}`;
}

/**
 * Writes the configuration that our calls of `mdadm` go by: without a bad-block log, which would hide what a member missed; with
 * names, since the numbers belong to the machine; and assembling nothing by itself.
 */
export async function writeMdadmConfig(path: string): Promise<void> {
  await writeFile(path, "CREATE bbl=no names=yes auto=yes\nHOMEHOST <none>\nAUTO -all\n", { mode: 0o644 });
}

/** Makes an array of members that are the same, for the first time. @throws ProgramError */
export async function createArray(array: NewArray, config: string): Promise<void> {
  const { name, mirrorid, gigabytes, places, members } = array;
  const missing = Array.from({ length: places - members.length }, () => "missing");
  await runProgram(
    "mdadm",
    [
      ...["--create", `/dev/md/${name}`, `--config=${config}`, "--run", "--quiet"],
      ...["--level=1", `--raid-devices=${places}`, "--assume-clean", "--metadata=1.2"],
      // A bit stands for 16 MiB. The data begin where they do on the other data plane. No machine is called so: none takes
      // the array for its own.
      ...["--bitmap=internal", "--bitmap-chunk=16M", `--data-offset=${gigabytes}M`],
      ...[`--size=${gigabytes * 1024 * 1024}K`, "--homehost=vastsky", `--name=${name}`],
      `--uuid=${arrayUuid(mirrorid)}`,
      ...members.map(devicePath),
      ...missing,
    ],
    { timeoutMs: MDADM_MS },
  );
}

/** Starts an array of members that carry its superblock. @throws Error if the kernel refuses them */
export async function assembleArray(name: string, members: readonly string[]): Promise<void> {
  await writeFile("/sys/module/md_mod/parameters/new_array", `md_${name}`);
  const folder = sysfs(name);
  try {
    await writeFile(join(folder, "metadata_version"), "1.2");
    for (const member of members) await writeFile(join(folder, "new_dev"), await numberOf(member));
    await tell(join(folder, "array_state"), "active");
  } catch (error) {
    await writeFile(join(folder, "array_state"), "clear").catch(() => undefined);
    throw error;
  }
}

/** Ends an array, if it is there. Nothing may have it open. @throws Error EBUSY */
export async function stopArray(name: string): Promise<void> {
  if (!(await isThere(name))) return;
  await tell(join(sysfs(name), "array_state"), "clear");
}

/** @returns undefined if there is no such array, or it does not run */
export async function readArray(name: string): Promise<ArrayState | undefined> {
  const folder = sysfs(name);
  try {
    const [state, places, completed, entries] = await Promise.all([
      readWord(folder, "array_state"),
      readWord(folder, "raid_disks"),
      readWord(folder, "sync_completed"),
      readdir(folder),
    ]);
    if (state === "clear" || state === "inactive") return undefined;
    const members = await Promise.all(entries.filter((entry) => entry.startsWith("dev-")).map(readMember));
    const [, done, total] = /^(\d+) \/ (\d+)$/.exec(completed) ?? [];
    return {
      places: Number.parseInt(places, 10),
      members: members.filter((member) => member !== undefined),
      sync: done === undefined ? undefined : { done: Number(done), total: Number(total) },
    };
  } catch {
    return undefined;
  }

  async function readMember(entry: string): Promise<ArrayMember | undefined> {
    const kernelName = entry.slice("dev-".length);
    try {
      const words = await readWord(join(folder, entry), "state");
      const device = await readWord(`/sys/block/${kernelName}/dm`, "name");
      return { device, kernelName, words: new Set(words.split(",")) };
    } catch {
      return undefined; // it leaves
    }
  }
}

/** Tells md something of a member: `faulty`, `writemostly`, `-writemostly`. @throws Error if md does not listen in time */
export async function tellMember(name: string, { kernelName }: ArrayMember, word: string): Promise<void> {
  await tell(join(sysfs(name), `dev-${kernelName}`, "state"), word);
}

/** md does not listen while it writes its own records, and they may wait for a member. The thread that asks then waits on. */
async function tell(path: string, word: string): Promise<void> {
  const late = new AbortController();
  const deadline = pause(TELL_MS, late.signal).then(() => {
    if (!late.signal.aborted) throw new Error(`${path} did not take "${word}" in time`);
  });
  await Promise.race([writeFile(path, word), deadline]).finally(() => late.abort());
}

/** Takes a faulty member out; what is on its way to it is waited for. @throws Error if that takes too long */
export async function removeMember(name: string, member: ArrayMember): Promise<void> {
  const deadline = AbortSignal.timeout(REMOVE_MS);
  for (;;) {
    try {
      await tellMember(name, member, "remove");
      return;
    } catch (error) {
      if (isErrno(error, "ENOENT") || isErrno(error, "ENODEV")) return;
      if (!isErrno(error, "EBUSY") || deadline.aborted) throw error;
      await pause(POLL_MS, never);
    }
  }
}

/**
 * Has content copied to a device.
 *
 * @param keepsContent it was a member before, and only what was written since is to be copied, as the bitmap has it; if md
 *   can't do that, all is copied
 * @throws ProgramError
 */
export async function addMember(name: string, device: string, keepsContent: boolean): Promise<void> {
  const run = (...args: string[]) =>
    runProgram("mdadm", ["--manage", arrayPath(name), "--quiet", ...args, devicePath(device)], {
      timeoutMs: MDADM_MS,
    });
  if (keepsContent) {
    const isBack = await run("--re-add").then(
      () => true,
      () => false,
    );
    if (isBack) return;
  }
  await runProgram("mdadm", ["--zero-superblock", "--quiet", devicePath(device)]).catch(() => undefined);
  await run("--add");
}

/** Changes how many members an array can have. @throws Error EBUSY if more are there */
export async function setPlaces(name: string, places: number): Promise<void> {
  await tell(join(sysfs(name), "raid_disks"), String(places));
}

/**
 * Bits of the bitmap are kept for at least so long after their region was written: longer than it takes until the
 * writes were flushed, or their member was found to be silent (rule R6: md itself clears them without a flush).
 */
export async function setBitmapDelay(name: string, seconds: number): Promise<void> {
  await tell(join(sysfs(name), "bitmap/time_base"), String(seconds));
}

/** Does something while nobody writes to a part of an array. @param start in bytes */
export async function holdWrites<T>(
  name: string,
  start: number,
  length: number,
  work: () => Promise<T>,
): Promise<T> {
  await allowWrites(name);
  try {
    await suspendUpTo(name, "lo", start);
    await suspendUpTo(name, "hi", start + length);
    return await work();
  } finally {
    await allowWrites(name);
  }
}

/** Ends what a process that died while it held writes left behind. */
export async function allowWrites(name: string): Promise<void> {
  await suspendUpTo(name, "hi", 0);
  await suspendUpTo(name, "lo", 0);
}

function suspendUpTo(name: string, end: "lo" | "hi", bytes: number): Promise<void> {
  return tell(join(sysfs(name), `suspend_${end}`), String(bytes / SECTOR_BYTES));
}

/** Copying goes on at this rate at least, whatever users do meanwhile. @param rate in KiB a second */
export async function setSyncRate(name: string, rate: number): Promise<void> {
  await tell(join(sysfs(name), "sync_speed_min"), String(rate));
}

/** Sectors written to an array since it was started. */
export async function readWritten(name: string): Promise<number> {
  const text = await readFile(`/sys/block/md_${name}/stat`, "utf8");
  return Number(text.trim().split(/\s+/)[6]);
}

/**
 * What lies on devices of ours, by their names; one without a superblock is not in the answer.
 *
 * @throws ProgramError if one does not answer in time
 */
export async function examine(
  devices: readonly string[],
  timeoutMs: Milliseconds,
): Promise<Map<string, Examined>> {
  if (devices.length === 0) return new Map();
  try {
    return parseExamined(await runProgram("mdadm", ["--examine", ...devices.map(devicePath)], { timeoutMs }));
  } catch (error) {
    // Its code says that one has no superblock; it has told of the others.
    if (!(error instanceof ProgramError) || error.code !== 1) throw error;
    return parseExamined(error.stdout);
  }
}

/** What `mdadm --examine` prints of several devices, by their names. */
export function parseExamined(text: string): Map<string, Examined> {
  const found = new Map<string, Examined>();
  for (const part of text.split(/^\/dev\/mapper\//m).slice(1)) {
    const device = part.slice(0, part.indexOf(":"));
    const uuid = /^\s*Array UUID : (\S+)$/m.exec(part)?.[1];
    const events = /^\s*Events : (\d+)$/m.exec(part)?.[1];
    if (uuid !== undefined && events !== undefined) found.set(device, { uuid, events: Number(events) });
  }
  return found;
}

/** Names of the arrays of ours that have a member whose device-mapper name begins so. */
export async function arraysOn(prefix: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir("/sys/block")) {
    if (!entry.startsWith("md_vas-")) continue;
    const slaves = await readdir(`/sys/block/${entry}/slaves`).catch(() => []);
    const devices = await Promise.all(
      slaves.map((slave) => readWord(`/sys/block/${slave}/dm`, "name").catch(() => "")),
    );
    if (devices.some((device) => device.startsWith(prefix))) names.push(entry.slice("md_".length));
  }
  return names;
}

async function isThere(name: string): Promise<boolean> {
  const entries = await readdir("/sys/block");
  return entries.includes(`md_${name}`);
}

async function numberOf(device: string): Promise<string> {
  const kernelName = basename(await realpath(devicePath(device)));
  return readWord(`/sys/block/${kernelName}`, "dev");
}

async function readWord(folder: string, file: string): Promise<string> {
  return (await readFile(join(folder, file), "utf8")).trim();
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
