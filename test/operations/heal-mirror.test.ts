import { expect, test } from "vitest";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { markSilent } from "../../manager/operations/watch-servers.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { nobody, placeOf, resyncAll } from "./heal-all.js";

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
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([2, 2, 2]);
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
  expect([...(await statusesOf(state, lvolid)).keys()]).toHaveLength(3);
});

async function detach({ state, lvolid }: Attached): Promise<void> {
  await state.run(beginDetach, { lvolid });
  const [job] = await state.claim("detach");
  await state.run(finishDetach, { jobid: job?.jobid ?? 0, lvolid });
}
