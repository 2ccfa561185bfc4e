import { expect, test } from "vitest";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import {
  finishResync,
  type ResyncPlan,
  readResync,
  retryResync,
} from "../../manager/operations/resync-member.js";
import { VasError } from "../../shared/errors.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { healAll, nobody, placeOf } from "./heal-all.js";

const { INSYNC, SPARE, FAULTY } = MemberStatus;

const heal = ({ state, mirrorid }: Attached) => state.run(healMirror, { mirrorid, silentTooLong: nobody });

async function failDiskOf(volume: Attached, dextid: number): Promise<number> {
  const { pdskid } = await placeOf(volume, dextid);
  await volume.state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
  return pdskid;
}

async function failServerOf(volume: Attached, dextid: number): Promise<void> {
  const { ssvrid } = await placeOf(volume, dextid);
  await volume.state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: ssvrid });
}

async function planOf({ state }: Attached, dextid: number): Promise<ResyncPlan> {
  const plan = await state.run(readResync, { dextid });
  if (plan === undefined || plan === "insync") throw new Error(`there is nothing to resync: ${plan}`);
  return plan;
}

test("without room for another copy the head is told to do without the lost one, once, by a copy that is sound", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  const pdskid = await failDiskOf(volume, a);
  expect(await heal(volume)).toMatchObject({ changed: true, noRoom: expect.stringMatching(/1 GB/) });
  expect(await heal(volume)).toMatchObject({ changed: false });
  const jobs = await state.claim("resync");
  expect(jobs.map(({ subject }) => subject)).toEqual([b]);
  expect(jobs[0]?.description).toMatch(/to do without a lost copy$/);
  const { version, grant, remove } = await planOf(volume, b);
  expect([grant, remove?.lvolid]).toEqual([undefined, a]);

  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version });
  expect(await state.run(readResync, { dextid: b })).toBe("insync");
  await state.run(finishResync, { jobid: jobs[0]?.jobid ?? 0, dextid: b });
  await heal(volume);
  expect([...(await statusesOf(state, lvolid))]).toEqual([
    [a, FAULTY],
    [b, INSYNC],
    [c, INSYNC],
  ]);
  expect(await state.claim("resync")).toEqual([]);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);

  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([mirrorid]);
  await state.addServer(4, 4);
  await healAll(state);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("of two lost copies both leave, one job after the other, and the sound one stays", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid } = volume;
  const [a, b, c] = volume.dextids;
  await failDiskOf(volume, a);
  await failServerOf(volume, b);
  await heal(volume);
  // The one on a lost server goes first: it holds up writes.
  expect((await planOf(volume, c)).remove?.lvolid).toBe(b);
  await healAll(state, 4);
  expect([...(await statusesOf(state, lvolid))]).toEqual([
    [a, FAULTY],
    [b, SPARE],
    [c, INSYNC],
  ]);
  expect(await state.claim("resync")).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("two new copies take the places of two lost ones, and no job is made for what they do", async () => {
  const volume = await attachedVolume(5);
  const { state, lvolid, dextids } = volume;
  const [a, b] = dextids;
  const disks = [await failDiskOf(volume, a), await failDiskOf(volume, b)];
  for (let round = 0; round < 2; round += 1) await heal(volume);
  const added = [...(await statusesOf(state, lvolid)).keys()].filter((dextid) => !dextids.includes(dextid));
  const jobs = await state.claim("resync");
  expect(jobs.map(({ subject }) => subject)).toEqual(added);
  const plans = await Promise.all(added.map((dextid) => planOf(volume, dextid)));
  expect(plans.map(({ remove }) => remove?.lvolid)).toEqual([a, b]);
  for (const { jobid } of jobs) state.claimed.delete(jobid);
  await healAll(state, 5);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  for (const pdskid of disks) expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await state.findings()).toEqual([]);
});

test("a copy that is lost while another is being filled does not wait for that, nor for the retries of a head that refuses", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await heal(volume);
  expect((await state.claim("resync")).map(({ subject }) => subject)).toEqual([a]);
  await failDiskOf(volume, b);
  await heal(volume);
  await heal(volume);
  const [job, ...others] = (await state.claim("resync")).filter(({ subject }) => subject === c);
  expect(others).toEqual([]);
  expect((await planOf(volume, c)).remove?.lvolid).toBe(b);

  const error = new VasError("EBUSY", "the head says so");
  const again = { jobid: job?.jobid ?? 0, dextid: c, error, attempts: 1, counts: false };
  await state.run(retryResync, { ...again, runAt: state.now + 1_000 });
  expect(await heal(volume)).toMatchObject({ changed: false });
  expect((await state.claim("resync")).map(({ subject }) => subject)).not.toContain(c);
  state.now += 1_000;
  expect((await state.claim("resync")).map(({ subject }) => subject)).toContain(c);
  expect(await state.findings()).toEqual([]);
});

test("nothing is left out of an attached volume of which every copy is lost, or none can be asked", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid } = volume;
  const [a, b, c] = volume.dextids;
  for (const dextid of [a, b]) await failDiskOf(volume, dextid);
  await failServerOf(volume, c);
  await healAll(state, 2);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
});
