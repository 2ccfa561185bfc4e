import { expect, test } from "vitest";
import { readJob, retryJob } from "../../manager/operations/claim-jobs.js";
import { notifyRebuildMirrorFinished, notifyShredFinished } from "../../manager/operations/hasten-job.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { beginShreds } from "../../manager/operations/shred-extent.js";
import type { JobRow } from "../../manager/store/jobs.js";
import { EventStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { nobody } from "./heal-all.js";
import { State, sectorsOf } from "./state.js";

const LATER = 60_000;

/** Its attempt failed: it waits for the next one. */
async function putOff(state: State, job: JobRow | undefined): Promise<JobRow> {
  if (job === undefined) throw new Error("there is no such job");
  const { jobid } = job;
  await state.run(retryJob, { jobid, attempts: 1, error: "not now", runAt: state.now + LATER });
  state.claimed.delete(jobid);
  return jobOf(state, jobid);
}

async function jobOf(state: State, jobid: number): Promise<JobRow> {
  const job = await state.run(readJob, { jobid });
  if (job === undefined) throw new Error(`there is no job ${jobid}`);
  return job;
}

async function waitingShred() {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  await state.run(registerPhysicalDisk, { ssvrid, local_path: "/dev/sdb", pdskid, capacity: sectorsOf(6) });
  await state.run(beginShreds, {});
  const [shred] = await state.claim("shred");
  return { state, shred: await putOff(state, shred) };
}

test("a shred that waits for its next attempt becomes due, and nothing else of it changes", async () => {
  const { state, shred } = await waitingShred();
  expect(await state.run(notifyShredFinished, { dextid: shred.subject })).toBe(0);
  expect(await jobOf(state, shred.jobid)).toEqual({ ...shred, run_at: state.now });
  expect(await state.claim("shred")).toMatchObject([{ jobid: shred.jobid }]);
});

test("what waits for nothing, or is not there, is left as it is", async () => {
  const { state, shred } = await waitingShred();
  for (const dextid of [0, -1, 99_999]) expect(await state.run(notifyShredFinished, { dextid })).toBe(0);
  expect(await jobOf(state, shred.jobid)).toEqual(shred);
  state.now += LATER;
  const [running] = await state.claim("shred");
  await state.run(notifyShredFinished, { dextid: shred.subject });
  expect(await jobOf(state, shred.jobid)).toEqual(running);
});

async function waitingResync(): Promise<Attached & { readonly resync: JobRow }> {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [dextid] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const [resync] = await state.claim("resync");
  return { ...volume, resync: await putOff(state, resync) };
}

test("whatever a caller says of a resync, it is only looked at sooner", async () => {
  for (const dext_status of Object.values(EventStatus)) {
    const { state, lvolid, mirrorid, dextids, resync } = await waitingResync();
    const before = await statusesOf(state, lvolid);
    const dexts = dextids.map((dextid) => ({ dextid, dext_status }));
    expect(await state.run(notifyRebuildMirrorFinished, { mirrorid, dexts })).toBe(0);
    expect(await jobOf(state, resync.jobid)).toEqual({ ...resync, run_at: state.now });
    expect(await statusesOf(state, lvolid)).toEqual(before);
    await state.close();
  }
});

test("extents of other mirrors are ignored; a wrong status or mirror changes nothing and says so", async () => {
  const { state, lvolid, mirrorid, resync } = await waitingResync();
  const told = (dextid: number, dext_status = 3) => [{ dextid, dext_status }];
  const tell = (id: number, dexts: ReturnType<typeof told>) =>
    state.run(notifyRebuildMirrorFinished, { mirrorid: id, dexts });
  await expect(tell(lvolid, told(resync.subject))).rejects.toMatchObject({ errno: "ENOENT" });
  for (const status of [-1, 6]) {
    await expect(
      tell(mirrorid, [...told(resync.subject), ...told(resync.subject, status)]),
    ).rejects.toMatchObject({ errno: "EINVAL", sentence: expect.stringContaining(`not ${status}`) });
  }
  expect(await tell(mirrorid, told(99_999))).toBe(0);
  expect(await tell(mirrorid, [])).toBe(0);
  expect(await jobOf(state, resync.jobid)).toEqual(resync);
});
