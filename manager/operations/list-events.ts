import type { EventInfo } from "../../shared/methods/manager-methods.js";
import { EventStatus, FailureTarget, JobStatus } from "../../shared/states.js";
import { type EventRow, EventType, newestEvents } from "../store/events.js";
import { type JobOutline, newestFinishedJobs, newestOpenJobs } from "../store/job-history.js";
import type { JobKind } from "../store/jobs.js";
import { showTime } from "./layout-tree.js";
import type { Operation } from "./operation.js";

const DEFAULT_LIMIT = 1_000;

interface Query {
  readonly limit?: number | undefined;
  readonly progressOf: (jobid: number) => number;
}

/** A row and its place in the list: by time; what happened in an instant is before the work that follows from it. */
interface Entry {
  readonly time: number;
  readonly source: 0 | 1;
  readonly id: number;
  readonly row: EventRow | JobOutline;
}

/**
 * What happened and what is under way, the oldest first: events, and jobs as events with their state as it is now. The
 * newest ones, and all jobs that have not ended, however long ago they began, as far as the limit allows.
 */
export const listEvents: Operation<Query, EventInfo[]> = async (tx, { limit, progressOf }) => {
  const max = limit ?? DEFAULT_LIMIT;
  const open = (await newestOpenJobs(tx, max)).map(placeJob);
  const room = max - open.length;
  const past = [
    ...(await newestEvents(tx, room)).map(placeEvent),
    ...(await newestFinishedJobs(tx, room)).map(placeJob),
  ].sort(byTime);
  const chosen = [...past.slice(Math.max(0, past.length - room)), ...open].sort(byTime);
  return chosen.map(({ row }) => ("seq" in row ? showEvent(row) : showJob(row, progressOf)));
};

function byTime(a: Entry, b: Entry): number {
  return a.time - b.time || a.source - b.source || a.id - b.id;
}

function placeEvent(row: EventRow): Entry {
  return { time: row.time, source: 0, id: row.seq, row };
}

function placeJob(row: JobOutline): Entry {
  return { time: row.created_at, source: 1, id: row.jobid, row };
}

function showEvent({ eventid, target, targetid, event, event_status, time, sentence }: EventRow): EventInfo {
  const progress = event_status === EventStatus.DONE ? 100 : -1;
  const ours = { time: showTime(time), sentence, progress, attempts: 0, last_error: "" };
  return { eventid, target, targetid, event, event_status, ...ours };
}

function showJob(job: JobOutline, progressOf: Query["progressOf"]): EventInfo {
  const kind = job.kind as JobKind; // written by insertJob only
  return {
    eventid: job.eventid,
    target: FailureTarget.LVOL,
    targetid: job.subject,
    event: typeOf(kind, job.status),
    event_status: STATUSES[job.status],
    time: showTime(job.created_at),
    sentence: `${NOUNS[kind]} of ${job.description}`,
    progress: progressOfJob(job, progressOf),
    attempts: job.attempts,
    last_error: job.last_error,
  };
}

const NOUNS: Readonly<Record<JobKind, string>> = {
  attach: "attach",
  detach: "detach",
  fence: "fence",
  "end-maintenance": "end of maintenance",
  "create-snapshot": "creation",
  "delete-snapshot": "deletion",
  resync: "resync",
  shred: "shred",
};

/** The two happen to have the same numbers; one of them is the API's. */
const STATUSES: Readonly<Record<JobStatus, EventStatus>> = {
  [JobStatus.PENDING]: EventStatus.PENDING,
  [JobStatus.RUNNING]: EventStatus.PROGRESS,
  [JobStatus.DONE]: EventStatus.DONE,
  [JobStatus.CANCELED]: EventStatus.CANCELED,
  [JobStatus.FAILED]: EventStatus.ERROR,
};

function typeOf(kind: JobKind, status: JobStatus): EventType {
  if (kind === "resync") return EventType.RESYNC;
  if (kind === "shred") return EventType.SHRED;
  return kind === "fence" || status === JobStatus.FAILED ? EventType.ABNORMAL : EventType.ADMINISTRATIVE;
}

function progressOfJob({ jobid, status }: JobOutline, progressOf: Query["progressOf"]): number {
  if (status === JobStatus.RUNNING) return progressOf(jobid);
  return status === JobStatus.DONE ? 100 : -1;
}
