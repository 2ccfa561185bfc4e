import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { claimJobs, readJob, retryJob } from "../../manager/operations/claim-jobs.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { beginServing, finishAttach, finishUndo } from "../../manager/operations/end-attach.js";
import { closeDetached, finishDetach } from "../../manager/operations/end-detach.js";
import {
  beginEndingSnapshot,
  finishSnapshot,
  finishSnapshotUndo,
} from "../../manager/operations/end-snapshot.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { JobGone } from "../../manager/operations/held-job.js";
import { listJobs, showJob } from "../../manager/operations/list-jobs.js";
import { listVolumes } from "../../manager/operations/list-volumes.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { cancelJob, retryWaitingJob } from "../../manager/operations/steer-job.js";
import { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, FailureTarget, JobStatus } from "../../shared/states.js";
import { attachedVolume } from "./attached.js";
import { detach } from "./detached.js";
import { nobody } from "./heal-all.js";
import type { State } from "./state.js";

const CANCELLED = new VasError("ECANCELED", "it was cancelled");
const progressOf = (): number => -1;

async function bindingOf(state: State, lvolid: number) {
  const [volume] = await state.run(listVolumes, { lvolid });
  return [volume?.bind_status, volume?.bind_event];
}

test.each(["begin", "serve"] as const)(
  "an attach that is cancelled in the phase %s is undone, its handler ends, and who waits is told",
  async (phase) => {
    const volume = await attachedVolume();
    const { state, lvolid, hsvrid } = volume;
    await detach(state, lvolid);
    const jobid = await state.run(beginAttach, { lvolid, hsvrid });
    await state.claim("attach");
    if (phase === "serve") await state.run(beginServing, { jobid, lvolid });
    expect(await state.run(cancelJob, { jobid })).toBe(true);
    for (const step of [beginServing, finishAttach])
      await expect(state.run(step, { jobid, lvolid })).rejects.toBeInstanceOf(JobGone);
    const job = await state.run(readJob, { jobid });
    expect(job).toMatchObject({ status: JobStatus.PENDING, phase: "undo", result: "ECANCELED", attempts: 1 });
    expect(JSON.parse(job?.payload ?? "{}")).toMatchObject({ served: phase === "serve" });
    expect(await state.run(cancelJob, { jobid })).toBe(false);
    expect((await state.claim("attach")).map((claimed) => claimed.phase)).toEqual(["undo"]);
    await state.run(finishUndo, { jobid, lvolid, error: CANCELLED });
    expect(await bindingOf(state, lvolid)).toEqual([BindStatus.UNBOUND, BindEvent.NONE]);
    await expect(state.run(cancelJob, { jobid })).rejects.toMatchObject({ errno: "EINVAL" });
    expect(await state.findings()).toEqual([]);
  },
);

test("a job is not taken up again while the handler that it was taken from has not ended", async () => {
  const { state, lvolid, hsvrid } = await attachedVolume();
  await detach(state, lvolid);
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  await state.run(cancelJob, { jobid });
  expect((await state.run(claimJobs, { running: new Set([jobid]) })).jobs).toEqual([]);
  expect((await state.run(claimJobs, { running: new Set<number>() })).jobs).toMatchObject([
    { jobid, phase: "undo" },
  ]);
});

test("a detach that is cancelled leaves the volume attached, unless its head has let go already", async () => {
  const { state, lvolid } = await attachedVolume();
  const first = (await state.run(beginDetach, { lvolid })) ?? 0;
  await state.claim("detach");
  expect(await state.run(cancelJob, { jobid: first })).toBe(true);
  expect(await bindingOf(state, lvolid)).toEqual([BindStatus.BOUND, BindEvent.NONE]);
  await expect(state.run(closeDetached, { jobid: first, lvolid })).rejects.toBeInstanceOf(JobGone);
  expect(await state.run(readJob, { jobid: first })).toMatchObject({
    status: JobStatus.CANCELED,
    result: "ECANCELED",
  });

  const second = (await state.run(beginDetach, { lvolid })) ?? 0;
  await state.claim("detach");
  await state.run(closeDetached, { jobid: second, lvolid });
  await expect(state.run(cancelJob, { jobid: second })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringMatching(/has let go/),
  });
  await state.run(finishDetach, { jobid: second, lvolid });
  expect(await state.findings()).toEqual([]);
});

test("the taking of a snapshot is undone, and its deletion is taken back as long as no head was told", async () => {
  const { state, lvolid } = await attachedVolume(3, 20);
  const take = (name: string) =>
    state.run(createSnapshot, { origin_lvolid: lvolid, snapshot_lvolname: name });
  const given = await take("given-up");
  await state.run(cancelJob, { jobid: given.jobid ?? 0 });
  await state.claim("create-snapshot");
  const undone = { jobid: given.jobid ?? 0, lvolid: given.lvolid, error: CANCELLED };
  await state.run(finishSnapshotUndo, undone);
  expect(await state.run(listVolumes, {})).toHaveLength(1);

  const kept = await take("kept");
  await state.claim("create-snapshot");
  await state.run(finishSnapshot, { jobid: kept.jobid ?? 0, lvolid: kept.lvolid });
  const ref = { lvolid: kept.lvolid };
  const early = (await state.run(deleteVolume, ref)) ?? 0;
  await state.claim("delete-snapshot");
  expect(await state.run(cancelJob, { jobid: early })).toBe(true);
  expect(await state.run(listVolumes, ref)).toMatchObject([{ snapshot_status: "VALID" }]);
  await expect(state.run(beginEndingSnapshot, { ...ref, jobid: early })).rejects.toBeInstanceOf(JobGone);

  const late = (await state.run(deleteVolume, ref)) ?? 0;
  await state.claim("delete-snapshot");
  await state.run(beginEndingSnapshot, { ...ref, jobid: late });
  await expect(state.run(cancelJob, { jobid: late })).rejects.toMatchObject({ errno: "EBUSY" });
  expect(await state.findings()).toEqual([]);
});

test("a resync that is cancelled is not begun again for a while, or until a person wants it", async () => {
  const { state, lvolid, mirrorid, dextids } = await attachedVolume(3, 4, { cancel_hold: 100 });
  const [dextid] = dextids;
  const heal = () => state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  const begun = async (): Promise<number | undefined> => {
    await heal();
    return (await state.claim("resync"))[0]?.jobid;
  };
  const first = (await begun()) ?? 0;
  expect(await state.run(cancelJob, { jobid: first })).toBe(true);
  expect(await begun()).toBeUndefined();
  expect(await state.run(retryWaitingJob, { jobid: first })).toBe(0);
  const second = (await begun()) ?? 0;
  expect(second).toBeGreaterThan(first);
  await state.run(cancelJob, { jobid: second });
  state.now += 99_000;
  expect(await begun()).toBeUndefined();
  state.now += 2_000;
  expect(await begun()).toBeGreaterThan(second);
  await expect(state.run(retryWaitingJob, { jobid: first })).rejects.toMatchObject({ errno: "EINVAL" });
  expect(await state.findings()).toEqual([]);
});

test("fences and shreds can't be cancelled, with the reason, and one that waits is tried at once", async () => {
  const { state, hsvrid, lvolid } = await attachedVolume();
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  const [fence] = await state.claim("fence");
  const jobid = fence?.jobid ?? 0;
  await expect(state.run(cancelJob, { jobid })).rejects.toMatchObject({
    errno: "EPERM",
    sentence: expect.stringMatching(/fence of .*an old head server may still write/),
  });
  await state.run(retryJob, { jobid, attempts: 3, error: "nobody answers", runAt: state.now + 60_000 });
  expect(await state.run(showJob, { jobid, progressOf })).toMatchObject({
    kind: "fence",
    status: JobStatus.PENDING,
    attempts: 3,
    next_in: 60,
    last_error: "nobody answers",
  });
  expect(await state.claim("fence")).toEqual([]);
  expect(await state.run(retryWaitingJob, { jobid })).toBe(0);
  expect(await state.claim("fence")).toHaveLength(1);
  await state.run(finishDetach, { jobid, lvolid });
  const listed = async (all: boolean): Promise<number[]> =>
    (await state.run(listJobs, { all, progressOf })).map((job) => job.jobid);
  expect(await listed(false)).not.toContain(jobid);
  expect(await listed(true)).toContain(jobid);
  await expect(state.run(showJob, { jobid: 999, progressOf })).rejects.toMatchObject({ errno: "ENOENT" });
});
