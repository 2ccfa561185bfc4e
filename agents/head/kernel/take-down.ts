import { showVolume } from "../../../shared/ids.js";
import { SECTOR_BYTES } from "../../../shared/units.js";
import {
  devicePath,
  listDevices,
  loadTable,
  removeClosedDevice,
  removeDevice,
  resume,
  sendMessage,
  suspend,
} from "../../common/device-mapper.js";
import { runProgram } from "../../common/run-program.js";
import { removeLinks } from "./devices.js";
import { listSessions, logout } from "./iscsi.js";
import { arraysOn, stopArray } from "./md.js";
import { extentOfName, type VolumeNames } from "./names.js";

/** What is to be taken down. */
export interface Standing {
  readonly names: VolumeNames;
  readonly epoch: number;
  /** Folder of the links. */
  readonly folder: string;
}

/**
 * Takes down whatever there is of a volume on this machine, found by its names alone. Who still has it open gets errors from now
 * on, and keeps a device that leads nowhere.
 *
 * What waits for a member is let go at the end, when its answer can't be followed by another: so that a write that is
 * under way while the volume is taken away may still be acknowledged, but no flush after it (see docs/safety.md).
 *
 * @throws ProgramError, VasError EBUSY, if something can't be taken down; asking again goes on
 */
export async function takeDown({ names, epoch, folder }: Standing): Promise<void> {
  await removeLinks(folder, devicePath(names.prefix));
  const devices = await listDevices(names.prefix);
  const extents = devices.filter(({ name }) => name.startsWith(`${names.prefix}ext-`));
  const letGo = async (): Promise<void> => {
    for (const { name } of extents) await sendMessage(name, "fail_if_no_path");
  };
  const opened = devices.filter(({ name }) => isForUsers(names, name));
  await Promise.all(opened.filter(({ opens }) => opens > 0).map(({ name }) => loadErrors(name)));
  const stopping = opened.filter(({ opens }) => opens > 0).map(({ name }) => suspend(name));
  await letGo();
  await Promise.all(stopping);
  for (const { name, opens } of opened) {
    if (opens > 0) {
      await resume(name);
      await setAside(names, name, epoch);
    } else await removeDevice(name);
  }
  for (const { name } of devices)
    if (name.startsWith(`${names.prefix}linear-`)) await removeClosedDevice(name);
  for (const array of await arraysOn(names.prefix)) await stopArray(array);
  // What is above goes first: an extent has its paths open.
  for (const { name } of extents) await removeClosedDevice(name);
  for (const { name } of devices)
    if (extentOfName(name) !== undefined && !extents.some((extent) => extent.name === name))
      await removeClosedDevice(name);
  const targets = (await listSessions())
    .map(({ target }) => target)
    .filter((target) => target.endsWith(`.${showVolume(names.lvolid)}.${epoch}`));
  for (const target of new Set(targets)) await logout(target);
}

/** What is left of an open device whose volume was taken away: gone when it is closed. */
async function setAside(names: VolumeNames, name: string, epoch: number): Promise<void> {
  const aside = `${names.prefix}aside-${epoch}-${name.slice(names.prefix.length)}`;
  await runProgram("dmsetup", ["rename", name, aside]);
  await runProgram("dmsetup", ["remove", "--deferred", aside]);
}

async function loadErrors(name: string): Promise<void> {
  const sectors = await sectorsOf(name);
  await loadTable(name, [{ sectors, target: "error" }]);
}

async function sectorsOf(name: string): Promise<number> {
  const bytes = await runProgram("blockdev", ["--getsize64", devicePath(name)]);
  return Number(bytes.trim()) / SECTOR_BYTES;
}

function isForUsers(names: VolumeNames, name: string): boolean {
  return name === names.top || name.startsWith(`${names.prefix}snap-`);
}
