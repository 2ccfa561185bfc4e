import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { AccessFiles } from "../../agents/storage/access-files.js";
import { type OpenDisk, openDisk } from "../../agents/storage/disks.js";
import { Grants } from "../../agents/storage/grants.js";
import { Shredder, type ShredderOptions } from "../../agents/storage/shred.js";
import { systemClock } from "../../shared/clock.js";
import { EXTENT_UNIT_BYTES, MIB } from "../../shared/units.js";
import { tempFolder } from "./temp-folder.js";

export interface ShredRigOptions extends Partial<Omit<ShredderOptions, "grants" | "openDisk">> {
  /** Usable size of disk 1. */
  readonly gigabytes?: number;
  /** Places on it that hold a 7. */
  readonly sevens?: readonly number[];
  readonly open?: (path: string) => Promise<OpenDisk>;
}

/** A shredder with disk 1, a sparse file; `load` makes it anew from what is on disk, as after a restart. */
export async function shredRig({
  gigabytes = 3,
  sevens = [],
  open: openIt,
  ...options
}: ShredRigOptions = {}) {
  const folder = tempFolder();
  const path = join(folder, "disk");
  await withFile(path, "w+", (handle) => handle.truncate(gigabytes * EXTENT_UNIT_BYTES + 2 * MIB));
  await writeSevens(path, sevens);
  const load = async () => {
    const grants = await Grants.load(await AccessFiles.open(folder), async () => undefined);
    await grants.addDisk(1, gigabytes);
    const shredder = new Shredder({
      grants,
      openDisk: () => (openIt ?? openFile)(path),
      drain: async () => undefined,
      recordTool: async () => undefined,
      bytesPerSecond: 0,
      verify: false,
      clock: systemClock,
      ...options,
    });
    return { grants, shredder };
  };
  return { path, load, ...(await load()) };
}

export const openFile = (path: string): Promise<OpenDisk> => openDisk(path, 0);

export async function writeSevens(path: string, places: readonly number[]): Promise<void> {
  await withFile(path, "r+", async (handle) => {
    for (const place of places) await handle.write(Buffer.from([7]), 0, 1, place);
  });
}

export function bytesAt(path: string, places: readonly number[]): Promise<number[]> {
  return withFile(path, "r", async (handle) => {
    const found: number[] = [];
    for (const place of places) found.push((await handle.read(Buffer.alloc(1), 0, 1, place)).buffer[0] ?? -1);
    return found;
  });
}

async function withFile<T>(path: string, flags: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, flags);
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}
