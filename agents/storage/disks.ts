import { constants } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import {
  type Bytes,
  EXTENT_UNIT_BYTES,
  LABEL_ROOM_BYTES,
  SECTOR_BYTES,
  usableGigabytes,
} from "../../shared/units.js";

/** A disk of the configuration that could be opened. */
export interface OpenDisk {
  /** Its number in the configuration, from 0. */
  readonly index: number;
  readonly path: string;
  readonly kind: "file" | "block";
  /** Whole sectors of 512 bytes. */
  readonly bytes: Bytes;
  readonly handle: FileHandle;
}

/** A disk can't be used; the message says which, why, and what to do. */
export class DiskRefusedError extends Error {
  override readonly name = "DiskRefusedError";
}

/**
 * Opens a file or block device for reading and writing. The caller closes its handle.
 *
 * @throws DiskRefusedError if that fails, if it is neither, or if it is too small for one extent
 */
export async function openDisk(path: string, index: number): Promise<OpenDisk> {
  let handle: FileHandle;
  try {
    // O_NONBLOCK: a FIFO that was put there by mistake must not hold us.
    handle = await open(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    throw new DiskRefusedError(`the disk ${path} can't be opened: ${messageOf(cause)}`, { cause });
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile() && !stat.isBlockDevice()) {
      throw new DiskRefusedError(`${path} is neither a file nor a block device`);
    }
    const size = stat.isFile() ? stat.size : await blockDeviceBytes(path, stat.rdev);
    const bytes = size - (size % SECTOR_BYTES);
    if (usableGigabytes(bytes) < 1) {
      const least = EXTENT_UNIT_BYTES + LABEL_ROOM_BYTES;
      throw new DiskRefusedError(`the disk ${path} has ${bytes} bytes, at least ${least} are needed`);
    }
    return { index, path, kind: stat.isFile() ? "file" : "block", bytes, handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The size that the kernel tells of the device with this number, whatever its name is. */
async function blockDeviceBytes(path: string, rdev: number): Promise<Bytes> {
  try {
    // In sectors of 512 bytes, also for disks whose own sectors are larger.
    const text = await readFile(`/sys/dev/block/${showDeviceNumber(rdev)}/size`, "utf8");
    return Number(text.trim()) * SECTOR_BYTES;
  } catch (cause) {
    throw new DiskRefusedError(`the kernel does not tell the size of ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** `major:minor`. Linux packs a device number into 64 bits: 12 + 20 bits of them are in use. */
export function showDeviceNumber(rdev: number): string {
  const packed = BigInt(rdev);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & ~0xfffn);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
