import { showDisk } from "../../shared/ids.js";
import type { VerifiedDisk } from "./data-plane.js";
import { readLabel } from "./disk-label.js";
import { DiskRefusedError, type OpenDisk, openDisk } from "./disks.js";

/** Opens a disk and verifies by its label that it still is the one (rule R12). The caller closes its handle. */
export async function openVerified(wanted: VerifiedDisk, cluster: string): Promise<OpenDisk> {
  const disk = await openDisk(wanted.path, wanted.index);
  try {
    const found = await readLabel(disk.handle, wanted.bytes);
    const isSame =
      found.kind === "label" && found.label.pdskid === wanted.pdskid && found.label.cluster === cluster;
    if (!isSame)
      throw new DiskRefusedError(`the disk ${wanted.path} is not ${showDisk(wanted.pdskid)} any more`);
    return disk;
  } catch (error) {
    await disk.handle.close();
    throw error;
  }
}
