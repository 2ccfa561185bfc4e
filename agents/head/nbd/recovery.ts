import { VasError } from "../../../shared/errors.js";
import { MemberStatus } from "../../../shared/states.js";
import { inParallel } from "../../common/in-parallel.js";
import { chunksOf, flushDisk, readChunk, writeChunk } from "./copy-chunk.js";
import { DISK_LOST } from "./disk-request.js";
import { DiskError, type Member } from "./member.js";
import type { MemberRecord } from "./member-record.js";
import type { Mirror } from "./mirror.js";
import { orBits, regionsToCopy, setBits } from "./write-intent.js";

const CHUNKS_AT_ONCE = 4;

type Records = ReadonlyMap<Member, MemberRecord | undefined>;

/**
 * Makes a mirror fit to be served: learns what its members' records say, and makes the regions equal in which an earlier
 * process had writes under way (rule R8). Members that fail meanwhile are dropped as always; the last good one is waited
 * for.
 *
 * @throws VasError EIO if no member can be read, ESTALE if the layout tree is an old one
 */
export async function recoverMirror(mirror: Mirror): Promise<void> {
  const found = await untilNoneFails(mirror, () => readRecords(mirror));
  const written = [...found.values()].filter((record) => record !== undefined);
  const { records } = mirror;
  records.dataGeneration = Math.max(0, ...written.map((record) => record.dataGeneration));
  records.since = written.length === 0 ? mirror.version : Math.max(...written.map((record) => record.since));
  if (records.dataGeneration > mirror.version) await checkTree(mirror);
  for (const record of written) orBits(records.intent.marked, record.bits);
  // What was to be written to the records meanwhile had to wait until it was known what they say.
  records.open();
  if (written.length === 0 || !mirror.isWhole) mirror.renewGeneration(mirror.version);
  await untilNoneFails(mirror, () => makeEqual(mirror, found));
  await mirror.settled();
  if (mirror.isWhole) await clearAllBits(mirror);
}

/** Repeats work until no member failed in it. */
async function untilNoneFails<T>(mirror: Mirror, work: () => Promise<T>): Promise<T> {
  for (;;) {
    await new Promise<void>((resolve) => mirror.whenReported(resolve));
    const before = mirror.readers;
    if (before.length === 0 || mirror.errno !== 0) {
      throw new VasError("EIO", `mirror ${mirror.mirrorid} has no member in sync that can be read`);
    }
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      mirror.log.warn({ err: error }, `mirror ${mirror.mirrorid}: recovery begins anew`);
      await new Promise<void>((resolve) => mirror.whenReported(resolve));
      // Its disk is there and answers errors: repeating would go on for ever.
      const isStuck = error.errno > 0 && mirror.readers.length === before.length;
      if (isStuck) throw new VasError("EIO", error.message, { cause: error });
    }
  }
}

async function readRecords(mirror: Mirror): Promise<Records> {
  const found = new Map<Member, MemberRecord | undefined>();
  await Promise.all(
    mirror.readers.map(async (member) => {
      found.set(member, await failing(mirror, member, member.readRecord()));
    }),
  );
  return found;
}

/** All members are equal and flushed: nothing before now can make them differ. */
async function clearAllBits({ records }: Mirror): Promise<void> {
  const all = records.intent.beginSweep(0);
  if (all !== undefined) records.clear(all);
  await new Promise<void>((resolve) => records.commit(() => resolve()));
}

/**
 * A record from after this tree was made: members that the tree calls INSYNC may have been dropped since.
 *
 * @throws VasError ESTALE if that is so; the manager attaches with a new tree
 */
async function checkTree(mirror: Mirror): Promise<void> {
  const state = await mirror.manager.getMirror(mirror.mirrorid);
  const good = state?.members.filter(({ mirror_status }) => mirror_status === MemberStatus.INSYNC) ?? [];
  const isSame =
    good.length === mirror.readers.length &&
    good.every(({ dextid }) => mirror.readers.some((member) => member.dextid === dextid));
  if (!isSame || state === undefined) {
    throw new VasError("ESTALE", `mirror ${mirror.mirrorid} changed since this layout tree was made`);
  }
  mirror.version = state.version;
}

async function makeEqual(mirror: Mirror, found: Records): Promise<void> {
  const { intent, content } = mirror.records;
  const source = mirror.readers.find((member) => found.get(member) !== undefined);
  if (source === undefined) {
    if ([...found.values()].every((record) => record === undefined)) return; // a new mirror
    throw new VasError("EIO", `mirror ${mirror.mirrorid} has no member with a record left`);
  }
  // What an earlier process wrote and did not flush must not be lost behind our back: a server that loses power while it is
  // copied from would have less than those that were copied to.
  await flushReaders(mirror);
  for (const target of mirror.readers) {
    if (target === source) continue;
    // One without a record among others with one: nothing is known of what it holds.
    const isBlank = found.get(target) === undefined;
    const bits = isBlank ? regionsToCopy(content, undefined, intent.regions) : intent.marked;
    await inParallel(setBits(bits).flatMap(chunksOf), CHUNKS_AT_ONCE, async (offset) => {
      const data = await failing(mirror, source, readChunk(source, offset));
      await failing(mirror, target, writeChunk(target, offset, data));
    });
  }
  await flushReaders(mirror);
}

async function flushReaders(mirror: Mirror): Promise<void> {
  await Promise.all(mirror.readers.map((member) => failing(mirror, member, flushDisk(member))));
}

/** What fails here fails its member, as a write would. A read that another member could answer is none here. */
async function failing<T>(mirror: Mirror, member: Member, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    mirror.memberFailed(member, error instanceof DiskError ? error.errno : DISK_LOST);
    throw error;
  }
}
