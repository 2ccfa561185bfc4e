import { sql } from "kysely";
import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { cancelHeldJob, retryJob, takeOverJobs } from "../../manager/operations/claim-jobs.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { failAttach, finishUndo, giveUpAttach } from "../../manager/operations/end-attach.js";
import { finishDetach, refuseDetach } from "../../manager/operations/end-detach.js";
import {
  finishSnapshot,
  finishSnapshotDeletion,
  finishSnapshotUndo,
  giveUpSnapshot,
} from "../../manager/operations/end-snapshot.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readClusterStatus } from "../../manager/operations/read-cluster-status.js";
import { reportMemberFailure, reportMemberInSync } from "../../manager/operations/report-member.js";
import { finishResync } from "../../manager/operations/resync-member.js";
import { beginShreds, finishShred, readShred } from "../../manager/operations/shred-extent.js";
import type { JobKind } from "../../manager/store/jobs.js";
import { VasError } from "../../shared/errors.js";
import { MAX_EVENT_ID, showExtent, showVolume } from "../../shared/ids.js";
import { EventStatus, FailureTarget } from "../../shared/states.js";
import { type Attached, attachedVolume } from "./attached.js";
import { detach } from "./detached.js";
import { eventsNamed, eventsOf, newEvents, PROGRESS, sentencesOf } from "./events.js";
import { State } from "./state.js";

const nobody: ReadonlySet<number> = new Set();
const ABNORMAL = 1;
const RESYNC = 2;
const SHRED = 3;
const ADMINISTRATIVE = 4;

const claimOne = async (state: State, kind: JobKind) => {
  const [job] = await state.claim(kind);
  if (job === undefined) throw new Error(`there is no ${kind} to claim`);
  return job;
};

/** A member misses a write, and a resync of it begins. */
async function beginResync({ state, lvolid, mirrorid, dextids: [dextid] }: Attached): Promise<void> {
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
}

/** Many finished jobs, and one that has waited since before all of them. */
async function longAgo(state: State, finished: number): Promise<void> {
  const insert = sql`INSERT INTO job
    (kind, subject, eventid, status, phase, payload, run_at, created_at, finished_at, description)`;
  await state.store.transaction(async (tx) => {
    await sql`${insert} VALUES ('shred', 1, 1, 1, '', '{}', 0, 1, NULL, 'the oldest')`.execute(tx);
    await sql`${insert} WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= ${finished})
      SELECT 'shred', i, i, 3, '', '{}', 0, i, i, 'number ' || i FROM n`.execute(tx);
  });
}

test("a resync is listed from its beginning to its end, with its progress, attempts and last error", async () => {
  const volume = await attachedVolume();
  const { state, lvolid, mirrorid, dextids } = volume;
  const [dextid] = dextids;
  await beginResync(volume);
  const resync = async () => (await eventsOf(state)).find(({ event }) => event === RESYNC);
  const about = {
    target: FailureTarget.LVOL,
    targetid: dextid,
    sentence: expect.stringMatching(
      /^resync of dext-[0-9a-f]{8} on pdsk-[0-9a-f]{8} \(1 GB\), mirror mirr-[0-9a-f]{8} of volume v$/,
    ),
    time: "1970-01-01T00:16:40",
  };
  expect(await resync()).toEqual({
    ...about,
    eventid: expect.any(Number),
    event: RESYNC,
    event_status: EventStatus.PENDING,
    progress: -1,
    attempts: 0,
    last_error: "",
  });

  const job = await claimOne(state, "resync");
  expect(await resync()).toMatchObject({
    event_status: EventStatus.PROGRESS,
    eventid: job.eventid,
    progress: PROGRESS,
  });
  await state.run(retryJob, { jobid: job.jobid, attempts: 1, error: "it is slow", runAt: state.now });
  expect(await resync()).toMatchObject({
    event_status: EventStatus.PENDING,
    progress: -1,
    attempts: 1,
    last_error: "it is slow",
  });
  await state.claim("resync");
  await state.run(reportMemberInSync, { lvolid, epoch: 1, mirrorid, dextid, version: 2 });
  await state.run(finishResync, { jobid: job.jobid, dextid });
  expect(await resync()).toMatchObject({ ...about, event_status: EventStatus.DONE, progress: 100 });
  expect(await eventsNamed(state, "resync of")).toHaveLength(1);
});

test("a shred says what it was about when that extent is long gone, and one that is given up is cancelled", async () => {
  const { state, lvolid } = await attachedVolume();
  await detach(state, lvolid);
  await state.run(deleteVolume, { lvolid });
  await state.run(beginShreds, {});
  const [job, other] = await state.claim("shred");
  if (job === undefined || other === undefined) throw new Error("no shreds");
  const { jobid, subject: dextid } = job;
  const { generation = 0, pdskid = 0 } = (await state.run(readShred, { dextid })) ?? {};
  await state.run(finishShred, { jobid, dextid, generation });
  await state.run(cancelHeldJob, { jobid: other.jobid, reason: "there is nothing to shred" });
  expect(await state.run(readShred, { dextid })).toBeUndefined();
  const [event, ...more] = (await eventsOf(state)).filter(({ targetid }) => targetid === dextid);
  expect(more).toEqual([]);
  expect(event).toMatchObject({
    event: SHRED,
    event_status: EventStatus.DONE,
    sentence: `shred of ${showExtent(dextid)} on pdsk-0000000${pdskid} (1 GB)`,
    progress: 100,
  });
  expect((await eventsOf(state)).find(({ targetid }) => targetid === other.subject)).toMatchObject({
    event_status: EventStatus.CANCELED,
    last_error: "there is nothing to shred",
    progress: -1,
  });
});

test("an attach and a detach are administrative, and one that failed is abnormal and says why, once", async () => {
  const { state, lvolid, hsvrid } = await attachedVolume();
  const about = { target: FailureTarget.LVOL, targetid: lvolid };
  const name = `volume v (${showVolume(lvolid)})`;
  expect(await eventsNamed(state, `attach of ${name} to hsvr-00000001`)).toMatchObject([
    { ...about, event: ADMINISTRATIVE, event_status: EventStatus.DONE, last_error: "" },
  ]);
  const error = new VasError("EBUSY", "a client uses it");
  const refused = await newEvents(state, async () => {
    const jobid = (await state.run(beginDetach, { lvolid })) ?? 0;
    await state.claim("detach");
    await state.run(refuseDetach, { jobid, lvolid, error });
  });
  expect(refused).toMatchObject([
    { ...about, event: ABNORMAL, event_status: EventStatus.ERROR, last_error: "a client uses it" },
  ]);
  expect(refused[0]?.sentence).toBe(`detach of ${name} from hsvr-00000001`);
  await detach(state, lvolid);

  const failure = new VasError("EHOSTDOWN", "ssvr-00000001 can't be asked");
  const failed = await newEvents(state, async () => {
    const jobid = await state.run(beginAttach, { lvolid, hsvrid });
    await state.claim("attach");
    await state.run(giveUpAttach, { jobid, lvolid, error: failure });
    await state.run(finishUndo, { jobid, lvolid, error: failure });
  });
  expect(failed).toMatchObject([
    { ...about, event: ABNORMAL, event_status: EventStatus.ERROR, last_error: failure.sentence },
  ]);
  const reported = await newEvents(state, async () => {
    const jobid = await state.run(beginAttach, { lvolid, hsvrid });
    await state.claim("attach");
    await state.run(failAttach, { jobid, lvolid, error: failure });
  });
  expect(reported).toMatchObject([{ ...about, event: ABNORMAL, event_status: EventStatus.ERROR }]);
});

test("a fence is abnormal, says why, and comes after the failure that it follows from", async () => {
  const { state, lvolid, hsvrid } = await attachedVolume();
  const failure = { target: FailureTarget.HSVR, targetid: hsvrid };
  const events = await newEvents(state, () => state.run(notifyFailure, failure));
  const sentence = "head server hsvr-00000001 was reported as failed";
  expect(events).toMatchObject([
    { ...failure, event: ABNORMAL, event_status: EventStatus.NONE, sentence, progress: -1 },
    { event: ABNORMAL, target: FailureTarget.LVOL, targetid: lvolid, event_status: EventStatus.PENDING },
  ]);
  expect(events[1]?.sentence).toBe(`fence of volume v (${showVolume(lvolid)}) at hsvr-00000001: ${sentence}`);
  const { jobid } = await claimOne(state, "fence");
  await state.run(finishDetach, { jobid, lvolid });
  expect((await eventsOf(state)).at(-1)).toMatchObject({ event: ABNORMAL, event_status: EventStatus.DONE });
});

test("the snapshot of an attached volume is listed as it is taken, could not be taken, and is deleted", async () => {
  const { state, lvolid: origin_lvolid } = await attachedVolume(3, 8);
  const take = async (snapshot_lvolname: string) => {
    const { lvolid, jobid = 0 } = await state.run(createSnapshot, { origin_lvolid, snapshot_lvolname });
    await state.claim("create-snapshot");
    return { lvolid, jobid };
  };
  const kept = await take("kept");
  await state.run(finishSnapshot, kept);
  const failed = { ...(await take("failed")), error: new VasError("EIO", "its space failed") };
  await state.run(giveUpSnapshot, failed);
  await state.run(finishSnapshotUndo, failed);
  const jobid = (await state.run(deleteVolume, { lvolid: kept.lvolid })) ?? 0;
  await state.claim("delete-snapshot");
  await state.run(finishSnapshotDeletion, { lvolid: kept.lvolid, jobid });

  const name = `snapshot kept (${showVolume(kept.lvolid)}) of volume v`;
  expect((await eventsOf(state)).slice(-3)).toMatchObject([
    { event: ADMINISTRATIVE, event_status: EventStatus.DONE, sentence: `creation of ${name}` },
    { event: ABNORMAL, event_status: EventStatus.ERROR, last_error: "its space failed" },
    { event: ADMINISTRATIVE, event_status: EventStatus.DONE, sentence: `deletion of ${name}` },
  ]);
});

test("the list is in the order of time, and the newest ones are told where it is cut", async () => {
  const { state, lvolid } = await attachedVolume();
  state.now += 5_000;
  await detach(state, lvolid);
  state.now += 5_000;
  await state.run(deleteVolume, { lvolid });
  const all = await eventsOf(state);
  const times = all.map(({ time }) => time);
  expect(times).toEqual([...times].sort());
  const name = `volume v (${showVolume(lvolid)})`;
  expect(all.slice(-2).map(({ sentence }) => sentence)).toEqual([
    `detach of ${name} from hsvr-00000001`,
    `${name} is deleted`,
  ]);
  for (const limit of [1, 2, 5, all.length, 10_000]) {
    expect(await eventsOf(state, limit)).toEqual(all.slice(-limit));
  }
});

test("a job that has not ended is told however many have ended since it began", async () => {
  const state = await State.open();
  await longAgo(state, 1_500);
  const sentences = await sentencesOf(state);
  expect([sentences.length, sentences[0], sentences[1]]).toEqual([
    1_000,
    "shred of the oldest",
    "shred of number 503",
  ]);
  expect(sentences.at(-1)).toBe("shred of number 1501");
  expect(await sentencesOf(state, 1)).toEqual(["shred of the oldest"]);
});

test("what runs is told before what waits when not all open jobs have room in the list", async () => {
  const { state, lvolid } = await attachedVolume();
  await detach(state, lvolid);
  await state.run(deleteVolume, { lvolid });
  await state.run(beginShreds, {});
  const [oldest, ...others] = await state.claim("shred");
  for (const { jobid } of others) {
    await state.run(retryJob, { jobid, attempts: 1, error: "EIO", runAt: state.now + 1_000 });
  }
  expect(others).toHaveLength(2);
  expect(await eventsOf(state, 1)).toMatchObject([
    { targetid: oldest?.subject, event_status: EventStatus.PROGRESS },
  ]);
});

test("event ids that begin from 1 again change nothing in the order", async () => {
  const { state, lvolid } = await attachedVolume();
  await state.store.transaction((tx) =>
    tx.updateTable("sequence").set({ next: MAX_EVENT_ID }).where("name", "=", "event").execute(),
  );
  const events = await newEvents(state, async () => {
    await state.addHead(2);
    await state.addHead(3);
    await detach(state, lvolid);
  });
  expect(events.map(({ eventid }) => eventid)).toEqual([MAX_EVENT_ID, 1, 2]);
});

test("all of it is listed by the next manager, and the work that it takes over goes on as the same event", async () => {
  const volume = await attachedVolume();
  await beginResync(volume);
  const job = await claimOne(volume.state, "resync");
  const before = await eventsOf(volume.state);
  const next = await volume.state.restart();
  expect(await eventsOf(next)).toEqual(before);
  await next.run(takeOverJobs, {});
  expect((await eventsOf(next)).find(({ eventid }) => eventid === job.eventid)).toMatchObject({
    event: RESYNC,
    event_status: EventStatus.PENDING,
  });
});

test("the status of the cluster names what a job is about in the same words", async () => {
  const volume = await attachedVolume();
  await beginResync(volume);
  const sources = { cluster: "c", serial: 7, notices: [], progressOf: () => PROGRESS };
  const { jobs } = await volume.state.run(readClusterStatus, sources);
  expect(jobs).toMatchObject([{ kind: "resync", subject: expect.stringContaining(" of volume v") }]);
  expect(await sentencesOf(volume.state)).toContain(`resync of ${jobs[0]?.subject}`);
});
