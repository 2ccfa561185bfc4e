import { sql } from "kysely";
import type { JobRow } from "../../schema/tables.js";
import { JobStatus, MemberStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";
import { takeEventId } from "./sequences.js";

export type { JobRow };

/** Rows of jobs. A job that is PENDING or RUNNING is open; each kind has at most one open job per subject. */
export type JobKind =
  | "attach"
  | "detach"
  | "fence"
  | "end-maintenance"
  | "create-snapshot"
  | "delete-snapshot"
  | "resync"
  | "shred";

export interface NewJob {
  readonly kind: JobKind;
  /** lvolid of attach, detach, fence, end-maintenance and of a snapshot's jobs (the snapshot's own); dextid of resync and shred. */
  readonly subject: number;
  readonly payload: object;
  /** What it is about, for people: completes "resync of …". */
  readonly description: string;
  /** Wall-clock milliseconds. */
  readonly now: number;
}

/** @returns its jobid. */
export async function insertJob(tx: Tx, job: NewJob): Promise<number> {
  const eventid = await takeEventId(tx);
  const row = await tx
    .insertInto("job")
    .values({
      jobid: sql<number>`NULL`,
      kind: job.kind,
      subject: job.subject,
      eventid,
      status: JobStatus.PENDING,
      phase: "begin",
      payload: JSON.stringify(job.payload),
      holder: null,
      attempts: 0,
      last_error: "",
      run_at: job.now,
      created_at: job.now,
      finished_at: null,
      result: "",
      description: job.description,
    })
    .returning("jobid")
    .executeTakeFirstOrThrow();
  return row.jobid;
}

export async function findJob(tx: Tx, jobid: number): Promise<JobRow | undefined> {
  return tx.selectFrom("job").selectAll().where("jobid", "=", jobid).executeTakeFirst();
}

export async function findOpenJob(tx: Tx, kind: JobKind, subject: number): Promise<JobRow | undefined> {
  return tx
    .selectFrom("job")
    .selectAll()
    .where("kind", "=", kind)
    .where("subject", "=", subject)
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .executeTakeFirst();
}

/**
 * Open jobs of one kind by their subjects. The statuses are literals, because the planner takes the partial index of open jobs
 * for no parameter.
 */
export async function openJobsOf(
  tx: Tx,
  kind: JobKind,
  subjects: readonly number[],
): Promise<Map<number, JobRow>> {
  const { PENDING, RUNNING } = JobStatus;
  const rows = await tx
    .selectFrom("job")
    .selectAll()
    .where("kind", "=", kind)
    .where("subject", "in", subjects)
    .where("status", "in", [sql.lit(PENDING), sql.lit(RUNNING)])
    .execute();
  return new Map(rows.map((job) => [job.subject, job]));
}

export async function openJobs(tx: Tx): Promise<JobRow[]> {
  return tx
    .selectFrom("job")
    .selectAll()
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .orderBy("jobid")
    .execute();
}

/** What a runner needs to know of a job to decide if it may start. */
export interface DueJob {
  readonly jobid: number;
  readonly kind: JobKind;
  readonly subject: number;
  readonly pdskid: number | null;
  readonly ssvrid: number | null;
  /** A resync that has nothing to copy: the head of a mirror that is in sync is to do without a lost copy. */
  readonly copies_nothing: 0 | 1;
  /** Good copies of the mirror that a resync copies for: those with the fewest go first. */
  readonly good_copies: number;
}

const copiesNothing = sql<0 | 1>`(job.kind = 'resync' AND extent.status IS ${sql.lit(MemberStatus.INSYNC)})`;

const jobPlaces = (tx: Tx) =>
  tx
    .selectFrom("job")
    .leftJoin("extent", (join) =>
      join.onRef("extent.dextid", "=", "job.subject").on("job.kind", "in", ["resync", "shred"]),
    )
    .leftJoin("disk", "disk.pdskid", "extent.pdskid")
    .select(["job.jobid", "job.kind", "job.subject", "extent.pdskid", "disk.ssvrid"])
    .select(copiesNothing.as("copies_nothing"))
    .$narrowType<{ kind: JobKind }>();

/**
 * Jobs whose time has come, in the order in which they should start. One that waits for longer than any pause lasts was
 * put off by a clock that has been set back since, and is due as well.
 */
export async function dueJobs(tx: Tx, now: number, maxPause: number, limit: number): Promise<DueJob[]> {
  const goodCopies = sql<number>`(CASE WHEN job.kind = 'resync' AND NOT ${copiesNothing} THEN
    (SELECT count(*) FROM extent AS copy WHERE copy.mirrorid = extent.mirrorid AND copy.status = 2) ELSE 0 END)`;
  return jobPlaces(tx)
    .select(goodCopies.as("good_copies"))
    .where("job.status", "=", JobStatus.PENDING)
    .where((test) => test.or([test("job.run_at", "<=", now), test("job.run_at", ">", now + maxPause)]))
    .orderBy("good_copies")
    .orderBy("job.jobid")
    .limit(limit)
    .execute();
}

/** The places that running jobs keep busy. */
export async function runningJobs(tx: Tx): Promise<Omit<DueJob, "good_copies">[]> {
  return jobPlaces(tx).where("job.status", "=", JobStatus.RUNNING).execute();
}

/** Wall-clock time of the next job that is not due yet; undefined if there is none. */
export async function nextRunAt(tx: Tx, now: number): Promise<number | undefined> {
  const row = await tx
    .selectFrom("job")
    .select((query) => query.fn.min("run_at").as("at"))
    .where("status", "=", JobStatus.PENDING)
    .where("run_at", ">", now)
    .executeTakeFirst();
  return row?.at ?? undefined;
}

/** A runner takes a job. @returns false if someone else did, or it is not open any more. */
export async function claimJob(tx: Tx, jobid: number, holder: number): Promise<boolean> {
  const result = await tx
    .updateTable("job")
    .set({ status: JobStatus.RUNNING, holder })
    .where("jobid", "=", jobid)
    .where("status", "=", JobStatus.PENDING)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Jobs whose holder is not this manager any more go back in the queue. @returns how many. */
export async function releaseJobs(tx: Tx): Promise<number> {
  const result = await tx
    .updateTable("job")
    .set({ status: JobStatus.PENDING, holder: null, run_at: 0 })
    .where("status", "=", JobStatus.RUNNING)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/** Puts a running job back in the queue. */
export async function releaseJob(tx: Tx, jobid: number): Promise<void> {
  await tx
    .updateTable("job")
    .set({ status: JobStatus.PENDING, holder: null })
    .where("jobid", "=", jobid)
    .where("status", "=", JobStatus.RUNNING)
    .execute();
}

/** Changes a job that this holder runs. @returns false if it does not run it any more. */
export async function updateHeldJob(
  tx: Tx,
  jobid: number,
  holder: number,
  change: Partial<Omit<JobRow, "jobid" | "kind" | "subject">>,
): Promise<boolean> {
  const result = await tx
    .updateTable("job")
    .set(change)
    .where("jobid", "=", jobid)
    .where("holder", "=", holder)
    .where("status", "=", JobStatus.RUNNING)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Why jobs end from outside. */
export interface JobCancellation {
  /** Wall-clock milliseconds. */
  readonly now: number;
  /** errno name that a waiting caller is told. */
  readonly result: string;
  readonly last_error: string;
}

const canceled = ({ now, result, last_error }: JobCancellation) => ({
  status: JobStatus.CANCELED,
  holder: null,
  finished_at: now,
  result,
  last_error,
});

/** Ends open jobs of one kind and subject from outside, because what they were for is gone. */
export async function cancelOpenJobs(
  tx: Tx,
  kinds: readonly JobKind[],
  subject: number,
  end: JobCancellation,
): Promise<void> {
  await tx
    .updateTable("job")
    .set(canceled(end))
    .where("kind", "in", kinds)
    .where("subject", "=", subject)
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .execute();
}

/** A job that waits for its next attempt need not wait any longer. One that runs, or is due, stays as it is. */
export async function hastenJob(tx: Tx, kind: JobKind, subject: number, now: number): Promise<void> {
  await tx
    .updateTable("job")
    .set({ run_at: now })
    .where("kind", "=", kind)
    .where("subject", "=", subject)
    .where("status", "=", JobStatus.PENDING)
    .where("run_at", ">", now)
    .execute();
}

/** Ends the open resyncs of all mirrors of a volume, because it is not served any more. */
export async function cancelResyncsOfVolume(tx: Tx, lvolid: number, end: JobCancellation): Promise<void> {
  await tx
    .updateTable("job")
    .set(canceled(end))
    .where("kind", "=", "resync")
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .where("subject", "in", extentsOf(tx, lvolid))
    .execute();
}

/** How often each open resync of a member of a volume, or of one of its snapshots, has failed; 0 for one that runs. */
export async function attemptsOfResyncs(tx: Tx, lvolid: number): Promise<number[]> {
  const { PENDING, RUNNING } = JobStatus;
  const rows = await tx
    .selectFrom("job")
    .select(["attempts", "status"])
    .where("kind", "=", "resync")
    .where("status", "in", [sql.lit(PENDING), sql.lit(RUNNING)])
    .where("subject", "in", extentsOf(tx, lvolid))
    .execute();
  return rows.map(({ attempts, status }) => (status === RUNNING ? 0 : attempts));
}

/** All extents of a volume and its snapshots. */
function extentsOf(tx: Tx, lvolid: number) {
  return tx
    .selectFrom("extent")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .select("extent.dextid")
    .where((test) =>
      test.or([test("volume.lvolid", "=", lvolid), test("volume.origin_lvolid", "=", lvolid)]),
    );
}

/** Running resyncs by the disk that is written; disks without any are absent. Of a member in sync nothing is copied. */
export async function resyncsByDisk(tx: Tx): Promise<Map<number, number>> {
  const rows = await tx
    .selectFrom("job")
    .innerJoin("extent", "extent.dextid", "job.subject")
    .select(["extent.pdskid", (query) => query.fn.countAll<number>().as("count")])
    .where("job.kind", "=", "resync")
    .where("job.status", "=", JobStatus.RUNNING)
    .where("extent.status", "=", MemberStatus.SPARE)
    .groupBy("extent.pdskid")
    .execute();
  return new Map(rows.map((row) => [row.pdskid, row.count]));
}

/** Running resyncs by the head server that does them; heads without any are absent. */
export async function resyncsByHead(tx: Tx): Promise<Map<number, number>> {
  const rows = await tx
    .selectFrom("job")
    .innerJoin("extent", "extent.dextid", "job.subject")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .select(["volume.hsvrid", (query) => query.fn.countAll<number>().as("count")])
    .where("job.kind", "=", "resync")
    .where("job.status", "=", JobStatus.RUNNING)
    .where("extent.status", "=", MemberStatus.SPARE)
    .where("volume.hsvrid", "is not", null)
    .groupBy("volume.hsvrid")
    .execute();
  return new Map(rows.map((row) => [row.hsvrid ?? 0, row.count]));
}

/** Shreds by storage server that run or are due, and so take up a place; servers without any are absent. */
export async function dueShredsByServer(tx: Tx, now: number): Promise<Map<number, number>> {
  const rows = await tx
    .selectFrom("job")
    .innerJoin("extent", "extent.dextid", "job.subject")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .select(["disk.ssvrid", (query) => query.fn.countAll<number>().as("count")])
    .where("job.kind", "=", "shred")
    .where("job.status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .where((test) => test.or([test("job.status", "=", JobStatus.RUNNING), test("job.run_at", "<=", now)]))
    .groupBy("disk.ssvrid")
    .execute();
  return new Map(rows.map((row) => [row.ssvrid, row.count]));
}

/** Ends the open resyncs and shreds of everything on some disks, because the disks are going. */
export async function cancelJobsOfDisks(
  tx: Tx,
  pdskids: readonly number[],
  end: JobCancellation,
): Promise<void> {
  await tx
    .updateTable("job")
    .set(canceled(end))
    .where("kind", "in", ["resync", "shred"])
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .where("subject", "in", (query) =>
      query.selectFrom("extent").select("dextid").where("pdskid", "in", pdskids),
    )
    .execute();
}

/** Ends all open shreds, because no disk is in use any more. */
export async function cancelAllShreds(tx: Tx, end: JobCancellation): Promise<void> {
  await tx
    .updateTable("job")
    .set(canceled(end))
    .where("kind", "=", "shred")
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .execute();
}

/** Ends the open shreds of a disk, because it is out of use. */
export async function cancelShredsOfDisk(tx: Tx, pdskid: number, end: JobCancellation): Promise<void> {
  await tx
    .updateTable("job")
    .set(canceled(end))
    .where("kind", "=", "shred")
    .where("status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .where("subject", "in", (query) =>
      query.selectFrom("extent").select("dextid").where("pdskid", "=", pdskid).where("status", "=", 5),
    )
    .execute();
}
