import { showDisk } from "../../shared/ids.js";
import { type Bytes, EXTENT_UNIT_BYTES, labelOffset, MIB, usableGigabytes } from "../../shared/units.js";
import type { DiskRate } from "./disk-rate.js";
import type { DiskReader } from "./disk-reader.js";
import { isDiskError } from "./shred-errors.js";

export interface ScrubPassOptions {
  readonly reader: Pick<DiskReader, "disk" | "read">;
  readonly rate: DiskRate;
  /** The byte at which to begin. */
  readonly from: Bytes;
  readonly signal: AbortSignal;
  /** Told of everything below this byte having been read, or given up. */
  readonly onPosition: (position: Bytes) => Promise<void>;
  /** Told of each block with an unreadable place, and of the first one in it. */
  readonly onBadBlock: (block: number, place: Bytes) => Promise<void>;
}

/** No read of the disk succeeds any more: that is not a matter of blocks. */
export class DiskUnreadableError extends Error {
  override readonly name = "DiskUnreadableError";
}

const PIECE: Bytes = 4 * MIB;
/** How an unreadable piece is read once more to find the place; the last is the largest sector of disks. */
const SMALLER: readonly Bytes[] = [64 * 1024, 4096];
const SECTOR: Bytes = 4096;

/**
 * Reads a disk from a place to its end. The rest of a block with an unreadable place is left out: all that is there is copied
 * to elsewhere anyway.
 *
 * @throws DiskUnreadableError, what DiskReader.read does, or the signal's reason
 */
export async function scrubPass(options: ScrubPassOptions): Promise<void> {
  const { reader, rate, from, signal } = options;
  const end = usableGigabytes(reader.disk.bytes) * EXTENT_UNIT_BYTES;
  for (let at = from; at < end; ) {
    const block = Math.floor(at / EXTENT_UNIT_BYTES);
    const blockEnd = (block + 1) * EXTENT_UNIT_BYTES;
    const length = Math.min(rate.step(PIECE), blockEnd - at);
    await rate.take(length, signal);
    const place = await firstUnreadable(reader, at, length, SMALLER);
    signal.throwIfAborted();
    at += length;
    if (place !== undefined) {
      await expectAnswers(reader, place);
      await options.onBadBlock(block, place);
      at = blockEnd;
    }
    await options.onPosition(at);
  }
}

/** The first place of a range that can't be read; undefined if all can, at the second attempt at the latest. */
async function firstUnreadable(
  reader: ScrubPassOptions["reader"],
  from: Bytes,
  length: Bytes,
  [smaller, ...smallest]: readonly Bytes[],
): Promise<Bytes | undefined> {
  if (await canRead(reader, from, length)) return undefined;
  if (smaller === undefined) return from;
  for (let at = from; at < from + length; at += smaller) {
    const place = await firstUnreadable(reader, at, Math.min(smaller, from + length - at), smallest);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** @throws DiskUnreadableError if places all over the disk can't be read either */
async function expectAnswers(reader: ScrubPassOptions["reader"], place: Bytes): Promise<void> {
  const { bytes, path, pdskid } = reader.disk;
  const label = labelOffset(usableGigabytes(bytes));
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const probe = Math.floor((label * part) / SECTOR) * SECTOR;
    if (probe !== place && (await canRead(reader, probe, SECTOR))) return;
  }
  throw new DiskUnreadableError(
    `nothing can be read of ${showDisk(pdskid)} (${path}), at byte ${place} nor anywhere else; if it stays so, replace it and report it as failed (notifyFailure)`,
  );
}

async function canRead(reader: ScrubPassOptions["reader"], from: Bytes, length: Bytes): Promise<boolean> {
  try {
    await reader.read(from, length);
    return true;
  } catch (error) {
    if (isDiskError(error)) return false;
    throw error;
  }
}
