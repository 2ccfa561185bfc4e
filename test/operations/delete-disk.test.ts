import { sql } from "kysely";
import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { readJob } from "../../manager/operations/claim-jobs.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { listVolumes, showVolume } from "../../manager/operations/list-volumes.js";
import { notifyBadBlocks } from "../../manager/operations/notify-bad-blocks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { getMirror, reportMemberFailure } from "../../manager/operations/report-member.js";
import { beginShreds } from "../../manager/operations/shred-extent.js";
import { mirrorsToHealQuery } from "../../manager/store/mirrors-to-heal.js";
import { findMirror } from "../../manager/store/volumes.js";
import { linearOf } from "../../shared/layout-tree.js";
import { FailureTarget, JobStatus, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll, nobody, placeOf } from "./heal-all.js";
import { State, sectorsOf } from "./state.js";

const { INSYNC } = MemberStatus;
const failDisk = ({ state }: Pick<Attached, "state">, pdskid: number) =>
  state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
const isShort = async ({ state, mirrorid }: Attached): Promise<boolean> =>
  (await state.store.transaction((tx) => findMirror(tx, mirrorid)))?.short === 1;
const faultOf = async ({ state, lvolid }: Attached) => (await state.run(listVolumes, { lvolid }))[0]?.fault;

async function attach({ state, lvolid, hsvrid }: Attached): Promise<void> {
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  await state.run(finishAttach, { jobid, lvolid });
}

test("ids that are of no disk answer ENOENT, a disk in use EBUSY with what to do, and nothing changes", async () => {
  const state = await State.open();
  const { pdskid } = await state.addServer(1, 4);
  for (const unknown of [0, -1, 99, 0x7fff_ffff])
    await expect(state.run(deletePhysicalDisk, { pdskid: unknown })).rejects.toMatchObject({
      errno: "ENOENT",
    });
  await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringMatching(/pdsk-00000001 is HIGH.*notifyFailure/),
  });
  expect(await state.run(listPhysicalDisks, {})).toHaveLength(1);
});

test("a failed disk goes with its space, its shreds and its bad blocks; its label is then of no disk", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const again = { ssvrid, local_path: "/dev/sdb", pdskid, capacity: sectorsOf(6) };
  await state.run(registerPhysicalDisk, again);
  await state.run(notifyBadBlocks, { pdskid, blocks: [1] });
  await state.run(beginShreds, {});
  const [shred] = await state.claim("shred");
  await failDisk({ state }, pdskid);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await state.run(listPhysicalDisks, {})).toEqual([]);
  expect(await state.run(readJob, { jobid: shred?.jobid ?? 0 })).toMatchObject({
    status: JobStatus.CANCELED,
  });
  await expect(state.run(registerPhysicalDisk, again)).rejects.toMatchObject({ errno: "ENOENT" });
  await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({ errno: "ENOENT" });
  expect(await state.findings()).toEqual([]);
});

test("a copy that a head uses keeps its disk, until the head has let go of it and another has taken its place", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid } = volume;
  const { pdskid } = await placeOf(volume, volume.dextids[0]);
  await failDisk(volume, pdskid);
  await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringMatching(/volume v \(lvol-.*try again/),
  });
  await healAll(state);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect(await isShort(volume)).toBe(false);
  expect(await state.findings()).toEqual([]);
});

test("the last good copy keeps its disk, and the sentence names its volume", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  for (const [index, dextid] of [a, b].entries())
    await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 + index });
  await detach(state, lvolid);
  const { pdskid } = await placeOf(volume, c);
  await failDisk(volume, pdskid);
  await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringMatching(/last good copy .* volume v \(/),
  });
  // What is not good of the same mirror may go.
  const spare = await placeOf(volume, a);
  await failDisk(volume, spare.pdskid);
  expect(await state.run(deletePhysicalDisk, { pdskid: spare.pdskid })).toBe(0);
  expect((await statusesOf(state, lvolid)).get(c)).toBe(INSYNC);
  expect(await state.findings()).toEqual([]);
});

test("a good copy on a disk that was reported as failed too is not the one to rely on", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a, b, c] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  await detach(state, lvolid);
  const [left, right] = [await placeOf(volume, b), await placeOf(volume, c)];
  for (const { pdskid } of [left, right]) await failDisk(volume, pdskid);
  for (const { pdskid } of [left, right])
    await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({ errno: "EBUSY" });
});

test("a detached volume that loses a copy with its disk is at fault, and whole again after it had a head", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid, dextids } = volume;
  const [a, b, c] = dextids;
  await detach(state, lvolid);
  const { pdskid } = await placeOf(volume, a);
  await failDisk(volume, pdskid);
  const before = await state.run(readAttachment, { lvolid });
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  const after = await state.run(readAttachment, { lvolid });
  expect(after?.volume.grant_version).toBeGreaterThan(before?.volume.grant_version ?? 0);
  expect([...(await statusesOf(state, lvolid)).keys()]).toEqual([b, c]);
  expect(await faultOf(volume)).toBe(true);
  // Another copy is placed, which a head has to fill.
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([mirrorid]);
  expect(await isShort(volume)).toBe(true);
  expect(await state.run(healMirror, { mirrorid, silentTooLong: nobody })).toMatchObject({ changed: true });
  expect(await state.run(healMirror, { mirrorid, silentTooLong: nobody })).toMatchObject({
    wantsHead: lvolid,
  });
  expect(await faultOf(volume)).toBe(true);
  expect(await state.findings()).toEqual([]);

  await attach(volume);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([mirrorid]);
  await healAll(state);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect(await isShort(volume)).toBe(false);
  expect(await faultOf(volume)).toBe(false);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("a spare member of an attached volume goes with its disk, its resync ends, and the mirror is healed elsewhere", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid } = volume;
  const [a] = volume.dextids;
  const { version } = await state.run(reportMemberFailure, {
    lvolid,
    epoch: 1,
    mirrorid,
    dextid: a,
    version: 1,
  });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const [resync] = await state.claim("resync");
  const { pdskid } = await placeOf(volume, a);
  await failDisk(volume, pdskid);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await state.run(readJob, { jobid: resync?.jobid ?? 0 })).toMatchObject({
    status: JobStatus.CANCELED,
  });
  expect((await state.run(getMirror, { lvolid, epoch: 1, mirrorid })).version).toBeGreaterThan(version);
  expect(await faultOf(volume)).toBe(true);
  await healAll(state);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect(await faultOf(volume)).toBe(false);
  expect(await state.findings()).toEqual([]);
});

test("a volume that was never attached gets another place for what it loses, at once", async () => {
  const state = await State.open();
  for (const number of [1, 2, 3]) await state.addServer(number, 4);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 });
  const [dextid = 0] = [...(await statusesOf(state, lvolid)).keys()];
  const { pdskid } = await placeOf({ state, lvolid }, dextid);
  await failDisk({ state }, pdskid);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([MemberStatus.ALLOCATED]);
  await healAll(state);
  const { ALLOCATED } = MemberStatus;
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([ALLOCATED, ALLOCATED]);
  expect(await state.findings()).toEqual([]);
});

test("the space of a snapshot counts as attached where its origin is", async () => {
  const volume = await attachedVolume(4, 8);
  const { state, lvolid } = volume;
  const snapshot = { origin_lvolid: lvolid, snapshot_lvolname: "s" };
  const { lvolid: taken } = await state.run(createSnapshot, snapshot);
  const origins = await disksOf(state, lvolid);
  const pdskid = (await disksOf(state, taken)).find((disk) => !origins.includes(disk)) ?? 0;
  await failDisk(volume, pdskid);
  await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringContaining("volume s ("),
  });
});

async function disksOf(state: State, lvolid: number): Promise<number[]> {
  const [mirror] = linearOf(await state.run(showVolume, { lvolid })).components;
  return mirror?.components.map(({ lvolspec }) => lvolspec.pdskid) ?? [];
}

test("mirrors to heal are found by indexes, not by a look at every extent or mirror", async () => {
  const state = await State.open();
  const { rows } = await sql<{ readonly detail: string }>`EXPLAIN QUERY PLAN ${mirrorsToHealQuery}`.execute(
    state.store.db,
  );
  const steps = rows.map(({ detail }) => detail).filter((detail) => /^(SCAN|SEARCH) /.test(detail));
  const of = (table: string) => steps.filter((step) => step.split(" ")[1] === table);
  expect(of("extent")).toEqual([
    expect.stringContaining("INDEX extent_not_good"),
    expect.stringContaining("INDEX extent_lost"),
    expect.stringMatching(/^SEARCH extent USING INDEX .*\(pdskid=\?\)/),
  ]);
  expect(of("mirror")).toEqual([
    expect.stringContaining("INDEX mirror_surplus"),
    expect.stringContaining("INDEX mirror_short"),
  ]);
});
