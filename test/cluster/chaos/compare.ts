import { closeSync, openSync, readSync } from "node:fs";
import { MemberStatus } from "../../../shared/states.js";
import { GIB, MIB } from "../../../shared/units.js";
import { mirrorsOf, type TestCluster } from "../../harness/cluster.js";
import { differenceOf, extentFiles } from "../../harness/disk-files.js";
import type { VolumeUser } from "./user.js";

/** The regions of the write-intent bitmap: what a copier takes as a whole. */
const REGION_BYTES = 16 * MIB;

/**
 * Compares the INSYNC members of each mirror of a detached volume: the regions that were written, and
 * all of the mirror number `chosen`, if one is.
 *
 * @returns where they differ, a sentence each
 */
export async function differencesOf(
  cluster: TestCluster,
  user: VolumeUser,
  chosen: number | undefined,
): Promise<string[]> {
  const mirrors = mirrorsOf(await cluster.api("showLogicalVolume", { lvolid: user.options.lvolid }));
  const found: string[] = [];
  let start = 0;
  for (const [index, mirror] of mirrors.entries()) {
    const members = mirror.components.filter(({ mirror_status }) => mirror_status === MemberStatus.INSYNC);
    const end = start + mirror.capacity * GIB;
    if (index === chosen) {
      const difference = await differenceOf(cluster, { ...mirror, components: members });
      if (difference !== undefined) found.push(difference);
    } else {
      const files = await extentFiles(cluster, members);
      for (const region of regionsWithin(user.ranges, start, end)) {
        const pieces = files.map(({ path, place }) => readAt(path, place.dataStart + region - start));
        if (pieces.some((piece) => !piece.equals(pieces[0] ?? piece)))
          found.push(
            `the members of mirror ${mirror.lvolid} differ in the region at byte ${region} of ${user.options.name}`,
          );
      }
    }
    start = end;
  }
  return found;
}

/** Where the regions start, in bytes of the volume, that lie in a mirror and that a range touches. */
function regionsWithin(
  ranges: readonly { readonly offset: number; readonly length: number }[],
  start: number,
  end: number,
): Set<number> {
  const regions = new Set<number>();
  for (const { offset, length } of ranges) {
    const last = Math.floor((offset + length - 1) / REGION_BYTES);
    for (let region = Math.floor(offset / REGION_BYTES); region <= last; region += 1) {
      const at = region * REGION_BYTES;
      if (at >= start && at < end) regions.add(at);
    }
  }
  return regions;
}

function readAt(path: string, offset: number): Buffer {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(REGION_BYTES);
    readSync(file, bytes, 0, REGION_BYTES, offset);
    return bytes;
  } finally {
    closeSync(file);
  }
}
