import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { describeError, VasError } from "../../../shared/errors.js";
import { runProgram } from "../../common/run-program.js";

/** Where the kernel's target is set up. */
const MOUNT = "/sys/kernel/config";
const ROOT = `${MOUNT}/target`;
/** The targets of iSCSI, a folder each. */
export const TARGETS = `${ROOT}/iscsi`;
/** The block devices that can be units of targets, a folder each. */
export const BACKSTORES = `${ROOT}/core/iblock_0`;

const MODULES = ["configfs", "target_core_mod", "target_core_iblock", "iscsi_target_mod", "dm_zero"];

/** Has the kernel's iSCSI target ready to be set up. @throws VasError EPERM if that can't be had here */
export async function prepareTargets(): Promise<void> {
  try {
    await runProgram("modprobe", ["-a", ...MODULES]);
    if (!(await exists(ROOT))) await runProgram("mount", ["-t", "configfs", "configfs", MOUNT]);
    await mkdir(TARGETS, { recursive: true });
    await mkdir(BACKSTORES, { recursive: true });
  } catch (cause) {
    const why = describeError(cause);
    throw new VasError("EPERM", `data_plane = kernel needs root, and Linux's iSCSI target: ${why}`, {
      cause,
    });
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await namesIn(path)) !== undefined;
}

/** @returns undefined if the folder is not there */
export async function namesIn(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes a folder, if it is not there. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
}

/** Whether a switch is on; one that is not there is off. */
export async function isOn(file: string): Promise<boolean> {
  try {
    return (await readFile(file, "utf8")).trim() === "1";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** Writes attributes, those that have another value: some can't be written to while they are in use. */
export async function setAttributes(folder: string, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    const file = `${folder}/${name}`;
    // Some show a title before the value.
    const shown = (await readFile(file, "utf8")).trim();
    if (shown !== value && !shown.endsWith(`: ${value}`)) await writeFile(file, value);
  }
}
