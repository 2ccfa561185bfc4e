import { expect, test } from "vitest";
import { healMirrors } from "../../manager/jobs/reconcilers/heal-mirrors.js";
import { Maintenance } from "../../manager/jobs/reconcilers/maintenance.js";
import { Notices } from "../../manager/jobs/reconcilers/notices.js";
import { SilenceWatch } from "../../manager/jobs/reconcilers/silence.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { cancelHeldJob } from "../../manager/operations/claim-jobs.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { retryResync } from "../../manager/operations/resync-member.js";
import { markSilent } from "../../manager/operations/watch-servers.js";
import { VasError } from "../../shared/errors.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { nobody, placeOf, resyncAll } from "./heal-all.js";
import { State } from "./state.js";

const serverOf = async (volume: Attached, dextid: number): Promise<number> =>
  (await placeOf(volume, dextid)).ssvrid;

test("a lost server's member is replaced elsewhere, resynced, and its space is shredded when the server is whole", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  const lost = await serverOf(volume, a);
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: lost });
  // The volume is attached: its head must stop using the member first (R2).
  expect((await statusesOf(state, lvolid)).get(a)).toBe(MemberStatus.INSYNC);

  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([mirrorid]);
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const planned = await statusesOf(state, lvolid);
  const added = [...planned.keys()].find((dextid) => ![a, b, c].includes(dextid)) ?? 0;
  expect(planned.get(added)).toBe(MemberStatus.SPARE);
  expect(await state.findings()).toEqual([]);

  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await resyncAll(state);
  expect((await statusesOf(state, lvolid)).get(added)).toBe(MemberStatus.INSYNC);

  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect([...(await statusesOf(state, lvolid)).keys()].sort()).toEqual([b, c, added].sort());
  const left = state.store.db.selectFrom("extent").select("status").where("dextid", "=", a);
  expect(await left.execute()).toEqual([{ status: MemberStatus.NEEDSHRED }]);
  expect(await state.findings()).toEqual([]);
});

test("without room the member stays, and is replaced when a server is added", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  const lost = await serverOf(volume, a);
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  const waiting = await state.run(healMirror, { mirrorid, silentTooLong: new Set([lost]) });
  expect(waiting.noRoom).toMatch(/1 GB/);
  expect((await statusesOf(state, lvolid)).get(a)).toBe(MemberStatus.SPARE);

  await state.addServer(4, 4);
  const healed = await state.run(healMirror, { mirrorid, silentTooLong: new Set([lost]) });
  expect(healed).toMatchObject({ changed: true, noRoom: undefined });
  expect((await statusesOf(state, lvolid)).get(a)).toBe(MemberStatus.FAULTY);
  expect(await state.findings()).toEqual([]);
});

test("a server that is back in time has its own member caught up, and nothing is replaced", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await resyncAll(state);
  const statuses = await statusesOf(state, lvolid);
  expect([...statuses.keys()].sort()).toEqual([...volume.dextids].sort());
  expect([...statuses.values()]).toEqual([MemberStatus.INSYNC, MemberStatus.INSYNC, MemberStatus.INSYNC]);
});

test("a failed disk is replaced at once, and a last good copy is never given up", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  for (const [index, dextid] of [a, b].entries()) {
    await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 + index });
  }
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: c });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect((await statusesOf(state, lvolid)).get(c)).toBe(MemberStatus.INSYNC);
  expect(await state.findings()).toEqual([]);
});

test("copies of a detached volume stay good while their servers are merely away", async () => {
  const volume = await attachedVolume(5);
  const { state, lvolid, mirrorid } = volume;
  const [a, b] = volume.dextids;
  const away = new Set([await serverOf(volume, a), await serverOf(volume, b)]);
  await detach(volume);
  for (const id of away) await state.run(markSilent, { kind: "storage", id });
  for (let round = 0; round < 3; round += 1) await state.run(healMirror, { mirrorid, silentTooLong: away });
  const { INSYNC, SPARE } = MemberStatus;
  // Others are to take their places, but hold nothing yet.
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC, SPARE, SPARE]);
  expect(await state.findings()).toEqual([]);
});

test("a replacement is never placed on a disk that holds another extent of the mirror", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: a });
  const { noRoom } = await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect(noRoom).toMatch(/1 GB/);
  for (const dextid of (await statusesOf(state, lvolid)).keys()) expect(volume.dextids).toContain(dextid);
});

/** The attempts of a resync fail while its server answers, and its job ends. */
async function failResync({ state }: Attached, dextid: number): Promise<void> {
  const error = new VasError("EIO", "the disk answered errno 5");
  for (let attempts = 1; attempts <= 3; attempts += 1) {
    const [job] = (await state.claim("resync")).filter(({ subject }) => subject === dextid);
    if (job === undefined) throw new Error("nothing is resynced");
    const failure = { jobid: job.jobid, dextid, error, attempts, runAt: state.now, counts: true };
    await state.run(retryResync, failure);
  }
  const [job] = (await state.claim("resync")).filter(({ subject }) => subject === dextid);
  await state.run(cancelHeldJob, { jobid: job?.jobid ?? 0, reason: "the volume was detached" });
}

test("a member whose resync failed again and again is tried on as long as there is no room for another", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await failResync(volume, a);
  const { noRoom } = await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect(noRoom).toMatch(/1 GB/);
  await resyncAll(state);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual(Array(3).fill(MemberStatus.INSYNC));
});

test("a replaced copy is kept until its mirror is whole, but not in the place of what would make it so", async () => {
  const volume = await attachedVolume(4, 1);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  const lost = await serverOf(volume, a);
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await state.run(healMirror, { mirrorid, silentTooLong: new Set([lost]) });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const [d = 0] = [...(await statusesOf(state, lvolid)).keys()].filter((id) => !volume.dextids.includes(id));
  expect((await statusesOf(state, lvolid)).get(a)).toBe(MemberStatus.FAULTY);
  // Its replacement fails as well, and its server's only GB is the one place that is left.
  await failResync(volume, d);
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  expect((await statusesOf(state, lvolid)).has(a)).toBe(false);
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await state.finishShreds();
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await resyncAll(state);
  const statuses = await statusesOf(state, lvolid);
  const insync = [...statuses].filter(([, status]) => status === MemberStatus.INSYNC).map(([id]) => id);
  expect(insync).toHaveLength(3);
  expect(await Promise.all(insync.map((id) => serverOf(volume, id)))).toContain(lost);
  expect(await state.findings()).toEqual([]);
});

test("an extent that was declared failed makes room for its own replacement", async () => {
  const volume = await attachedVolume(3, 1);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: a });
  for (let round = 0; round < 5; round += 1) {
    await state.run(healMirror, { mirrorid, silentTooLong: nobody });
    await resyncAll(state);
    await state.finishShreds();
  }
  const statuses = await statusesOf(state, lvolid);
  expect([...statuses.values()]).toEqual(Array(3).fill(MemberStatus.INSYNC));
  expect(statuses.has(a)).toBe(false);
  expect(await state.findings()).toEqual([]);
});

async function detach({ state, lvolid }: Attached): Promise<void> {
  await state.run(beginDetach, { lvolid });
  const [job] = await state.claim("detach");
  await state.run(finishDetach, { jobid: job?.jobid ?? 0, lvolid });
}

test("a mirror for which there is no room keeps no other one from getting what it lacks", async () => {
  const state = await State.open();
  for (const number of [1, 2, 3]) await state.addServer(number, 4);
  await state.run(createVolume, { lvolname: "wide", capacity: 1, redundancy: 3 });
  const lvolid = await state.run(createVolume, { lvolname: "narrow", capacity: 1, redundancy: 2 });
  const [dextid = 0] = [...(await statusesOf(state, lvolid)).keys()];
  const { ssvrid } = await placeOf({ state, lvolid }, dextid);
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: ssvrid });
  const clock = { now: () => state.now, monotonic: () => state.now };
  const silence = new SilenceWatch(clock, { replaceAfter: 100, maxSilent: 0 });
  const maintenance = new Maintenance(clock, { delay: 0, maxPause: 1_000, alsoWanting: () => [] });
  const notices = new Notices();
  await healMirrors(state.executor, silence, notices, maintenance);
  expect(notices.list()).toEqual([expect.stringContaining("copies wait for room: one more copy of 1 GB")]);
  const servers: number[] = [];
  for (const id of (await statusesOf(state, lvolid)).keys())
    servers.push((await placeOf({ state, lvolid }, id)).ssvrid);
  expect(servers).toHaveLength(2);
  expect(servers).not.toContain(ssvrid);
  expect(await state.findings()).toEqual([]);
});

test("a last good copy on a disk that was reported as failed is copied from, as long as it can be read", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  for (const [index, dextid] of [a, b].entries())
    await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 + index });
  const { pdskid } = await placeOf(volume, c);
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
  for (let round = 0; round < 4; round += 1) {
    await state.run(healMirror, { mirrorid, silentTooLong: nobody });
    await resyncAll(state);
  }
  const statuses = await statusesOf(state, lvolid);
  expect([...statuses.values()]).toEqual([MemberStatus.INSYNC, MemberStatus.INSYNC, MemberStatus.INSYNC]);
  expect(statuses.has(c)).toBe(false);
  expect(await state.findings()).toEqual([]);
});
