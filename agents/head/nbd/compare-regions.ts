import { VasError } from "../../../shared/errors.js";
import { REGION_BYTES } from "../../../shared/units.js";
import { alike, type Copies, firstDifference, type RegionDifference } from "../region-difference.js";
import { withChunk } from "./chunk-lock.js";
import { CHUNK_BYTES, chunksOf } from "./copy-chunk.js";
import { DiskError, type Member } from "./member.js";
import type { Mirror } from "./mirror.js";

/**
 * Compares regions of all INSYNC members, byte by byte, as they are on their disks: past the storage servers' caches, which
 * may hold what a disk has lost. Each chunk is compared while nobody writes there, so what differs then differs for good.
 *
 * @returns the first difference of each region that has one
 * @throws VasError EAGAIN if that can't be had now: fewer than two members, one that fails, or that can't be read
 */
export async function compareRegions(
  mirror: Mirror,
  regions: readonly number[],
): Promise<RegionDifference[]> {
  const differences: RegionDifference[] = [];
  for (const region of regions) {
    if (region < 0 || (region + 1) * REGION_BYTES > mirror.size)
      throw new VasError("EINVAL", `mirror ${mirror.mirrorid} has no region ${region}`);
    const difference = await compareRegion(mirror, region);
    if (difference !== undefined) differences.push(difference);
  }
  return differences;
}

async function compareRegion(mirror: Mirror, region: number): Promise<RegionDifference | undefined> {
  for (const offset of chunksOf(region)) {
    const found = await withChunk(mirror.lock, offset, () => readAll(mirror, offset));
    const at = firstDifference(found);
    if (at === undefined) continue;
    return { region, byte: offset - region * REGION_BYTES + at, copies: alike(found) };
  }
  return undefined;
}

/** What each member has of a chunk that nobody writes to. */
async function readAll(mirror: Mirror, offset: number): Promise<Copies> {
  const members = mirror.readers;
  if (members.length < 2) throw new VasError("EAGAIN", `mirror ${mirror.mirrorid} has one copy in sync`);
  const found = await Promise.all(
    members.map(async (member) => [member.dextid, await read(member, offset)] as const),
  );
  // A write that one of them missed may be waiting for the manager's word: then this one does not count any more.
  if (members.some(({ state }) => state !== "insync") || mirror.isHolding)
    throw new VasError("EAGAIN", `the members of mirror ${mirror.mirrorid} are changing`);
  return new Map(found);
}

function read(member: Member, offset: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    member.readPastCache(offset, CHUNK_BYTES, (errno, data = []) => {
      // Its pieces are the connection's: they are used for the next replies.
      if (errno === 0) resolve(Buffer.concat(data));
      else {
        const cause = new DiskError(errno, `reading extent ${member.dextid} at ${offset}`);
        reject(new VasError("EAGAIN", cause.message, { cause }));
      }
    });
  });
}
