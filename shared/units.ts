/**
 * Units as types, so that a number of gigabytes is never added to a number of sectors.
 *
 * 1 GB is 1024^3 bytes throughout, as in the Vastsky API.
 */
declare const unit: unique symbol;

/** A count of bytes. */
export type Bytes = number & { readonly [unit]?: "bytes" };
/** A count of sectors of 512 bytes. */
export type Sectors = number & { readonly [unit]?: "sectors" };
/** A count of gigabytes (GiB). */
export type Gigabytes = number & { readonly [unit]?: "gigabytes" };
/** A duration in milliseconds. */
export type Milliseconds = number & { readonly [unit]?: "milliseconds" };

export const MIB: Bytes = 1024 * 1024;
export const GIB: Bytes = 1024 * MIB;
export const SECTOR_BYTES: Bytes = 512;

/** Metadata that an extent carries in front of its data, for each gigabyte of data. */
export const METADATA_BYTES_PER_GB: Bytes = MIB;
/** What one gigabyte of an extent occupies on a physical disk: 1 GiB of data and 1 MiB of metadata. */
export const EXTENT_UNIT_BYTES: Bytes = GIB + METADATA_BYTES_PER_GB;
/** The least room that a disk keeps behind its last usable gigabyte, for its label. */
export const LABEL_ROOM_BYTES: Bytes = MIB;

/** What one bit of a write-intent bitmap stands for, and what is compared of two copies at once. */
export const REGION_BYTES: Bytes = 16 * MIB;
export const REGIONS_PER_GB = GIB / REGION_BYTES;

/**
 * The gigabytes of a disk that extents can use. What remains is SUPER space, which holds the disk's label: a rest
 * below 1 MiB costs one gigabyte.
 */
export function usableGigabytes(disk: Bytes): Gigabytes {
  const whole = Math.floor(disk / EXTENT_UNIT_BYTES);
  const rest = disk - whole * EXTENT_UNIT_BYTES;
  return Math.max(0, rest < LABEL_ROOM_BYTES ? whole - 1 : whole);
}

/** Where the label of a disk with this many usable gigabytes starts. */
export function labelOffset(usable: Gigabytes): Bytes {
  return usable * EXTENT_UNIT_BYTES;
}

/** The place of an extent on its disk, in bytes: `length` gigabytes of metadata space first, then the data. */
export interface ExtentPlace {
  readonly start: Bytes;
  readonly metadataLength: Bytes;
  readonly dataStart: Bytes;
  readonly dataLength: Bytes;
  readonly end: Bytes;
}

/** @param offset where the extent starts on its disk, in extent units. @param length its size in gigabytes. */
export function extentPlace(offset: Gigabytes, length: Gigabytes): ExtentPlace {
  const start = offset * EXTENT_UNIT_BYTES;
  const metadataLength = length * METADATA_BYTES_PER_GB;
  const dataStart = start + metadataLength;
  const dataLength = length * GIB;
  return { start, metadataLength, dataStart, dataLength, end: dataStart + dataLength };
}
