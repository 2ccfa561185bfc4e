import { describeError, type ErrorName, VasError } from "../../../shared/errors.js";
import { showMirror } from "../../../shared/ids.js";
import { inParallel } from "../../common/in-parallel.js";
import { InTurn } from "../../common/in-turn.js";
import { withChunk } from "./chunk-lock.js";
import { CHUNK_BYTES, chunksOf, flushDisk, writeChunk } from "./copy-chunk.js";
import { CopyNotes } from "./copy-notes.js";
import { DiskError, type Member } from "./member.js";
import type { MemberRecord } from "./member-record.js";
import type { Mirror } from "./mirror.js";
import { regionsToCopy, setBits } from "./write-intent.js";

/** Chunks under way in one resync while the volume is idle; one at a time while it is used. */
const CHUNKS_AT_ONCE = 4;

/** The copying of one member. */
export interface Resync {
  readonly member: Member;
  /** Resolves with the membership version when the member is INSYNC at the manager. */
  readonly done: Promise<number>;
  /** Chunks copied, and to be copied in all. */
  readonly progress: { readonly copied: number; readonly total: number };
  /** Gives it up: the member is not wanted any more. */
  cancel(): void;
}

/**
 * Brings a member that is out in sync and reports it. From the moment its set of regions is known every new write goes to
 * it too. A write that was under way then and does not, has marked its region before and holds its range: the region is
 * in the set, and the copier waits for the range.
 *
 * `done` rejects with VasError: EHOSTDOWN if its disk can't be reached, EIO if it answers errors,
 * ENOENT if it left the mirror, ECANCELED, EAGAIN for what is not the fault of its own disk.
 */
export function startResync(mirror: Mirror, member: Member): Resync {
  const progress = { copied: 0, total: 0 };
  let stop: (error: VasError) => void = () => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  member.left = () => stop(new VasError("EIO", `extent ${member.dextid} failed while it was copied to`));
  const done = Promise.race([stopped, copyAndJoin(mirror, member, progress)]).catch((error: unknown) => {
    mirror.abandon(member);
    throw asVasError(error);
  });
  return {
    member,
    done,
    progress,
    cancel: () => stop(new VasError("ECANCELED", `extent ${member.dextid} is to be replaced itself`)),
  };
}

async function copyAndJoin(
  mirror: Mirror,
  member: Member,
  progress: { copied: number; total: number },
): Promise<number> {
  mirror.use(member, "preparing");
  const record: MemberRecord | undefined = await member.readRecord();
  // For the notes on the way, which name the generation before.
  if (mirror.records.dataGeneration === mirror.records.since && mirror.version > mirror.records.since)
    mirror.renewGeneration(mirror.version);
  // Not while a new data generation is on its way: what the mirror's records say must hold.
  await mirror.settled();
  assertState(member, "preparing");
  mirror.use(member, "copying");
  const bits = regionsToCopy(mirror.records.content, record, mirror.records.intent.regions);
  const chunks = setBits(bits).flatMap(chunksOf);
  progress.total = chunks.length;
  mirror.log.info({ chunks: chunks.length }, `mirror ${mirror.mirrorid}: copying to member ${member.dextid}`);
  const notes = new CopyNotes(mirror, member, bits);
  const alone = new InTurn();
  let copying = 0;
  await inParallel(chunks, CHUNKS_AT_ONCE, async (offset) => {
    const copy = async (): Promise<void> => {
      assertState(member, "copying");
      copying += 1;
      await copyChunk(mirror, member, offset).finally(() => {
        copying -= 1;
      });
      progress.copied += 1;
      await notes.copied(offset);
    };
    // Other holders of ranges are writers: they come first.
    await (mirror.lock.size > copying ? alone.run(copy) : copy());
  });
  assertState(member, "copying");
  await flushDisk(member);
  assertState(member, "copying");
  mirror.use(member, "joining");
  await new Promise<void>((resolve, reject) => {
    const failed = (errno: number) => reject(notItsFault(new DiskError(errno, "writing the records")));
    mirror.records.commit((errno) => (errno === 0 ? resolve() : failed(errno)));
  });
  return join(mirror, member);
}

function copyChunk(mirror: Mirror, member: Member, offset: number): Promise<void> {
  return withChunk(mirror.lock, offset, async () => {
    const data = await new Promise<readonly Buffer[]>((resolve, reject) => {
      mirror.read(offset, CHUNK_BYTES, (errno, read = []) => {
        if (errno === 0) resolve(read);
        else if (mirror.errno !== 0) reject(broken(mirror));
        else reject(notItsFault(new DiskError(errno, `reading mirror ${mirror.mirrorid} at ${offset}`)));
      });
    });
    await writeChunk(member, offset, data);
  });
}

/** Reports until the manager has accepted. A member that fails meanwhile is reported as failed, which ends this. */
async function join(mirror: Mirror, member: Member): Promise<number> {
  for (;;) {
    const version = await mirror.inTurn(async () => {
      assertState(member, "joining");
      const answer = await mirror.manager.reportInSync(mirror.mirrorid, member.dextid, mirror.version);
      mirror.version = Math.max(mirror.version, answer.version);
      if (answer.again) return undefined;
      // It may have failed while the report was under way; then the report of its failure comes next.
      if (member.state === "joining") mirror.joined(member, answer.version);
      return answer.version;
    });
    if (version === undefined) continue;
    assertState(member, "insync");
    return version;
  }
}

function assertState(member: Member, state: Member["state"]): void {
  if (member.state !== state)
    throw new VasError("EIO", `extent ${member.dextid} failed while it was copied to`);
}

/** The error of another disk than the member's own: whoever counts the failures of members must not count it. */
function notItsFault(cause: DiskError): VasError {
  return new VasError("EAGAIN", cause.message, { cause });
}

/** What only a person can end, and should be told. */
function broken({ mirrorid }: Mirror): VasError {
  return new VasError(
    "EAGAIN",
    `the last good copy of mirror ${showMirror(mirrorid)} lost writes that it had answered, or can't keep its record; it answers errors until the volume is detached and attached again`,
  );
}

function asVasError(error: unknown): VasError {
  if (error instanceof VasError) return error;
  const errno: ErrorName = error instanceof DiskError && error.errno < 0 ? "EHOSTDOWN" : "EIO";
  return new VasError(errno, describeError(error), { cause: error });
}
