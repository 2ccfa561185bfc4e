import { VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import { extentPlace, REGION_BYTES, REGIONS_PER_GB } from "../../shared/units.js";
import { DiskReadError } from "./disk-reader.js";
import type { DiskReaders } from "./disk-readers.js";
import type { Grants } from "./grants.js";
import type { ShredTarget } from "./shred-rules.js";

/** Regions of an extent's data area: `count` from number `from` on. */
export interface RegionsToRead {
  readonly extent: ShredTarget;
  readonly from: number;
  readonly count: number;
}

/** 128 bits: two contents with the same ones are not met by chance. */
const DIGITS = 32;

/**
 * Checksums of what is on the disk itself, a region each, as fast as the scrub's rate allows.
 *
 * @throws VasError ENOENT, EINVAL; ESTALE if the space has another generation (rule R4); EIO if it can't be read; EAGAIN
 */
export async function checksumRegions(
  { extent, from, count }: RegionsToRead,
  grants: Grants,
  readers: DiskReaders,
): Promise<string[]> {
  const { pdskid, offset, capacity } = extent;
  if (from + count > capacity * REGIONS_PER_GB)
    throw new VasError("EINVAL", `the extent has ${capacity * REGIONS_PER_GB} regions`);
  assertGeneration(extent, grants);
  const disk = readers.of(pdskid);
  if (disk === undefined) throw new VasError("ENOENT", `${showDisk(pdskid)} is not served here`);
  const { dataStart } = extentPlace(offset, capacity);
  const sums: string[] = [];
  for (let region = from; region < from + count; region += 1) {
    await disk.rate.take(REGION_BYTES, readers.signal);
    const sum = await disk.reader.read(dataStart + region * REGION_BYTES, REGION_BYTES).catch(refuse);
    sums.push(sum.slice(0, DIGITS));
  }
  // It may have been given away while it was read.
  assertGeneration(extent, grants);
  return sums;
}

function assertGeneration(extent: ShredTarget, grants: Grants): void {
  const newest = grants.newestGeneration(extent);
  if (newest === extent.generation) return;
  throw new VasError("ESTALE", `the extent has generation ${extent.generation}, the space has ${newest}`);
}

function refuse(cause: unknown): never {
  if (!(cause instanceof DiskReadError)) throw cause;
  throw new VasError(cause.code === "EAGAIN" ? "EAGAIN" : "EIO", cause.message, { cause });
}
