import { mkdir, readdir, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { VasError } from "../../../shared/errors.js";
import { showVolume } from "../../../shared/ids.js";
import { SNAPSHOT_CHUNK_BYTES } from "../../../shared/snapshot-space.js";
import { GIB, type Gigabytes, SECTOR_BYTES } from "../../../shared/units.js";
import {
  createDevices,
  type DmTable,
  devicePath,
  listDevices,
  loadTable,
  removeClosedDevice,
  removeDevice,
  resume,
  suspend,
} from "../../common/device-mapper.js";
import { runProgram } from "../../common/run-program.js";
import { arrayPath } from "./md.js";
import type { VolumeNames } from "./names.js";

/** A mirror, as the layer above sees it. */
export interface Piece {
  /** Name of its array. */
  readonly name: string;
  readonly gigabytes: Gigabytes;
}

const GIGABYTE_SECTORS = GIB / SECTOR_BYTES;
const CHUNK_SECTORS = SNAPSHOT_CHUNK_BYTES / SECTOR_BYTES;

/** The layers above the mirrors: linears, what users open, snapshots; and the links that users know them by. */
export class Devices {
  constructor(
    private readonly names: VolumeNames,
    private readonly folder: string,
    private readonly gigabytes: Gigabytes,
  ) {}

  /** Puts mirrors one after the other, if that was not done. @param lvolid of the volume, or of a snapshot for its space */
  async ensureLinear(lvolid: number, pieces: readonly Piece[]): Promise<void> {
    const name = this.names.linear(lvolid);
    if (await isThere(name)) return;
    const table = pieces.map((piece) => ({
      sectors: piece.gigabytes * GIGABYTE_SECTORS,
      target: `linear ${arrayPath(piece.name)} 0`,
    }));
    await createDevices([{ name, table }]);
  }

  /** Makes what users open. With snapshots, each write to it has what it overwrites kept first. */
  async ensureTop(hasSnapshots: boolean): Promise<void> {
    const { top } = this.names;
    if (!(await isThere(top))) await createDevices([{ name: top, table: this.#topTable(hasSnapshots) }]);
  }

  /** Opens a snapshot as it was kept. The volume must not be written to before. */
  async openSnapshot(lvolid: number): Promise<void> {
    const name = this.names.snapshot(lvolid);
    if (await isThere(name)) return;
    await createDevices([{ name, table: this.#snapshotTable(lvolid) }]);
    await runProgram("blockdev", ["--setro", devicePath(name)]);
  }

  /**
   * Takes a snapshot into its empty space, at an instant at which no write is under way. A file system that is mounted is
   * brought to rest for it.
   */
  async takeSnapshot(lvolid: number): Promise<void> {
    const { top } = this.names;
    // What an earlier attempt left there must not be taken for this one's.
    const space = devicePath(this.names.linear(lvolid));
    const chunk = [`bs=${SNAPSHOT_CHUNK_BYTES}`, "count=1", "oflag=direct", "status=none"];
    await runProgram("dd", ["if=/dev/zero", `of=${space}`, ...chunk]);
    await loadTable(top, this.#topTable(true));
    await this.#whileAtRest(() => this.openSnapshot(lvolid));
  }

  /** Ends a snapshot, if it is there. @param isLast no other is kept @throws VasError EBUSY while it is open */
  async endSnapshot(lvolid: number, isLast: boolean): Promise<void> {
    const name = this.names.snapshot(lvolid);
    await this.unlink(lvolid);
    if (await isThere(name)) {
      await loadTable(this.names.top, this.#topTable(!isLast));
      await this.#whileAtRest(() => removeDevice(name));
    }
    await removeClosedDevice(this.names.linear(lvolid));
  }

  /** @throws VasError EBUSY while the volume or a snapshot of it is open */
  async assertUnused(): Promise<void> {
    const { prefix, top } = this.names;
    const devices = await listDevices(prefix);
    const used = devices.find(
      ({ name, opens }) => opens > 0 && (name === top || name.startsWith(`${prefix}snap-`)),
    );
    if (used !== undefined) throw new VasError("EBUSY", `${devicePath(used.name)} is open`);
  }

  /** Makes the volume, or a snapshot, known by its id and by its name. */
  async link(lvolid: number, lvolname: string): Promise<void> {
    const { names, folder } = this;
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const device = lvolid === names.lvolid ? names.top : names.snapshot(lvolid);
    for (const name of [showVolume(lvolid), lvolname]) {
      const temporary = join(folder, `.${name}.${process.pid}`);
      await rm(temporary, { force: true });
      await symlink(devicePath(device), temporary);
      await rename(temporary, join(folder, name));
    }
  }

  /** Takes away the links to the volume, or to a snapshot. */
  async unlink(lvolid: number): Promise<void> {
    const { names, folder } = this;
    await removeLinks(folder, devicePath(lvolid === names.lvolid ? names.top : names.snapshot(lvolid)));
  }

  async #whileAtRest(work: () => Promise<void>): Promise<void> {
    const { top } = this.names;
    try {
      await suspend(top, { freeze: true });
      await work();
    } finally {
      await resume(top);
    }
  }

  #topTable(hasSnapshots: boolean): DmTable {
    const linear = devicePath(this.names.linear(this.names.lvolid));
    const target = hasSnapshots ? `snapshot-origin ${linear}` : `linear ${linear} 0`;
    return [{ sectors: this.gigabytes * GIGABYTE_SECTORS, target }];
  }

  #snapshotTable(lvolid: number): DmTable {
    const { names } = this;
    const [origin, space] = [names.linear(names.lvolid), names.linear(lvolid)].map(devicePath);
    const target = `snapshot ${origin} ${space} P ${CHUNK_SECTORS}`;
    return [{ sectors: this.gigabytes * GIGABYTE_SECTORS, target }];
  }
}

/** Removes the links in a folder that lead to a device whose path begins so. */
export async function removeLinks(folder: string, device: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    if ((await readlink(path).catch(() => "")).startsWith(device)) await rm(path, { force: true });
  }
}

async function isThere(name: string): Promise<boolean> {
  return (await listDevices(name)).some((device) => device.name === name);
}
