import { expect, test } from "vitest";
import { retryJob } from "../../manager/operations/claim-jobs.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { beginShreds, failShred, MAX_SHRED_FAILURES } from "../../manager/operations/shred-extent.js";
import type { JobRow } from "../../manager/store/jobs.js";
import { linearOf } from "../../shared/layout-tree.js";
import { EventStatus, FailureTarget, JobStatus, MemberStatus, Priority } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf, treeOf } from "./attached.js";
import { detach } from "./detached.js";
import { type State, sectorsOf } from "./state.js";

const nobody: ReadonlySet<number> = new Set();

/** A disk that holds a member and has grown by 3 GB, which is shredded in slices of 1. */
async function grownDisk(volume: Attached, dextid: number): Promise<number> {
  const { state, lvolid } = volume;
  const [mirror] = linearOf(await treeOf(state, lvolid)).components;
  const place = mirror?.components.find((extent) => extent.lvolid === dextid)?.lvolspec;
  const { pdskid = 0, ssvrid = 0 } = place ?? {};
  const capacity = sectorsOf(7);
  await state.run(registerPhysicalDisk, { ssvrid, pdskid, local_path: "/dev/sdb", capacity });
  return pdskid;
}

const prioritiesOf = async (state: State) =>
  new Map((await state.run(listPhysicalDisks, {})).map(({ pdskid, priority }) => [pdskid, priority]));

const rows = (state: State) =>
  state.store.transaction(async (tx) => ({
    events: await tx.selectFrom("event").selectAll().orderBy("seq").execute(),
    shreds: await tx
      .selectFrom("job")
      .selectAll()
      .where("kind", "=", "shred")
      .where("status", "<", 3)
      .execute(),
    unshredded: await tx
      .selectFrom("extent")
      .selectAll()
      .where("status", "=", MemberStatus.NEEDSHRED)
      .execute(),
  }));

const put = (state: State, { jobid }: JobRow, attempts: number) =>
  state.run(retryJob, { jobid, attempts, error: "EIO", runAt: state.now });

/** The disk makes an attempt of one piece fail. @returns whether that ended the job. */
async function failOnce(state: State, subject?: number): Promise<{ job: JobRow; isOver: boolean }> {
  await state.run(beginShreds, {});
  const claimed = await state.claim("shred");
  const job = claimed.find((candidate) => subject === undefined || candidate.subject === subject);
  if (job === undefined) throw new Error("no shred was claimed");
  const { jobid, subject: dextid } = job;
  const isOver = await state.run(failShred, {
    jobid,
    dextid,
    sentence: "sector 9 can't be written",
  });
  if (!isOver) await put(state, job, 1);
  return { job, isOver };
}

test("the third failure in a row that the disk itself caused makes it FAULTY, and what was on it is healed", async () => {
  const volume = await attachedVolume(4, 4, { shred_slice_gb: 1 });
  const { state, mirrorid } = volume;
  const pdskid = await grownDisk(volume, volume.dextids[0]);
  for (let failures = 1; failures < MAX_SHRED_FAILURES; failures += 1) {
    expect((await failOnce(state)).isOver).toBe(false);
    expect((await prioritiesOf(state)).get(pdskid)).toBe(Priority.HIGH);
  }
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  const { job, isOver } = await failOnce(state);
  expect(isOver).toBe(true);

  const priorities = await prioritiesOf(state);
  expect([...priorities].filter(([, priority]) => priority !== Priority.HIGH)).toEqual([
    [pdskid, Priority.FAULTY],
  ]);
  const { events, shreds, unshredded } = await rows(state);
  expect(shreds).toEqual([]);
  expect(unshredded.reduce((sum, { length }) => sum + length, 0)).toBe(3);
  expect(
    events.filter(({ targetid, target }) => target === FailureTarget.PDSK && targetid === pdskid).slice(-2),
  ).toMatchObject([
    { event_status: EventStatus.ERROR, sentence: expect.stringContaining("3 times in a row") },
    { sentence: expect.stringContaining("was reported as failed") },
  ]);
  const ended = await state.store.transaction((tx) =>
    tx.selectFrom("job").selectAll().where("jobid", "=", job.jobid).executeTakeFirstOrThrow(),
  );
  expect(ended).toMatchObject({
    status: JobStatus.CANCELED,
    last_error: expect.stringContaining("sector 9"),
  });

  expect(await state.run(beginShreds, {})).toBe(0);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([mirrorid]);
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect((await statusesOf(state, volume.lvolid)).size).toBe(4);
  expect(await state.findings()).toEqual([]);
});

test("failures of other pieces, and failures that are not the disk's, do not add up", async () => {
  const volume = await attachedVolume(3, 4, { shred_slice_gb: 1 });
  const { state } = volume;
  const pdskid = await grownDisk(volume, volume.dextids[0]);
  const seen = new Set<number>();
  for (let piece = 0; piece < 3; piece += 1) {
    await state.run(beginShreds, {});
    const [job] = (await state.claim("shred")) as [JobRow];
    seen.add(job.subject);
    const { jobid, subject: dextid } = job;
    for (let failures = 1; failures < MAX_SHRED_FAILURES; failures += 1) {
      expect(await state.run(failShred, { jobid, dextid, sentence: "EIO" })).toBe(false);
    }
    // As after EHOSTDOWN, ENOSPC or a restart, for hours.
    await state.run(retryJob, { jobid, attempts: 50, error: "EHOSTDOWN", runAt: state.now + 60_000 });
  }
  expect(seen.size).toBe(3);
  expect((await prioritiesOf(state)).get(pdskid)).toBe(Priority.HIGH);
});

test("each failure is counted under an event id of its own, so that a restarted manager does not count it again", async () => {
  const volume = await attachedVolume(3, 4, { shred_slice_gb: 1 });
  const { state } = volume;
  await grownDisk(volume, volume.dextids[0]);
  const { job } = await failOnce(state);
  const [again] = (await state.claim("shred")) as [JobRow];
  expect(again.jobid).toBe(job.jobid);
  expect(again.eventid).not.toBe(job.eventid);
});

test("the last good copy of a mirror stays what it is on a disk that fails while it is shredded", async () => {
  const volume = await attachedVolume(3, 4, { shred_slice_gb: 1 });
  const { state, lvolid, mirrorid, dextids } = volume;
  await detach(state, lvolid);
  for (const dextid of dextids.slice(1)) {
    await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: dextid });
    await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  }
  const [last] = dextids;
  const good = async () =>
    [...(await statusesOf(state, lvolid))].filter(([, status]) => status === MemberStatus.INSYNC);
  expect(await good()).toEqual([[last, MemberStatus.INSYNC]]);
  // Of the others, which make room for their replacements.
  await state.finishShreds();
  const pdskid = await grownDisk(volume, last);
  for (let failures = 0; failures < MAX_SHRED_FAILURES; failures += 1) await failOnce(state);
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect((await prioritiesOf(state)).get(pdskid)).toBe(Priority.FAULTY);
  expect(await good()).toEqual([[last, MemberStatus.INSYNC]]);
});
