import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { deleteStorageServer } from "../../manager/operations/delete-storage-server.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import { finishSnapshot } from "../../manager/operations/end-snapshot.js";
import {
  evacuatePhysicalDisk,
  evacuateStorageServer,
  recordEvacuated,
} from "../../manager/operations/evacuate.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listEvents } from "../../manager/operations/list-events.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { listStorageServers } from "../../manager/operations/list-storage-servers.js";
import { showVolume } from "../../manager/operations/list-volumes.js";
import { notifyBadBlocks } from "../../manager/operations/notify-bad-blocks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readClusterStatus } from "../../manager/operations/read-cluster-status.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { reportSnapshotFailure } from "../../manager/operations/report-snapshot.js";
import { readResync } from "../../manager/operations/resync-member.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { showDisk } from "../../shared/ids.js";
import { linearOf } from "../../shared/layout-tree.js";
import { FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf, treeOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll, nobody, placeOf, resyncAll } from "./heal-all.js";
import { State, sectorsOf } from "./state.js";

const { ALLOCATED, INSYNC, SPARE, FAULTY } = MemberStatus;
const WHOLE = [INSYNC, INSYNC, INSYNC];

async function priorityOf(state: State, pdskid: number): Promise<number | undefined> {
  return (await state.run(listPhysicalDisks, {})).find((disk) => disk.pdskid === pdskid)?.priority;
}

async function noticesOf(state: State): Promise<readonly string[]> {
  const sources = { cluster: "c", serial: 1, notices: [], progressOf: () => -1 };
  return (await state.run(readClusterStatus, sources)).notices;
}

/** The sentences of what happened that tell of something empty. */
async function emptied(state: State): Promise<string[]> {
  const events = await state.run(listEvents, { progressOf: () => -1 });
  return events.map(({ sentence }) => sentence).filter((sentence) => sentence.includes("is empty"));
}

/** A volume whose first member's disk is being evacuated. */
async function evacuating(servers: number): Promise<Attached & { readonly pdskid: number }> {
  const volume = await attachedVolume(servers);
  const { pdskid } = await placeOf(volume, volume.dextids[0]);
  await volume.state.run(evacuatePhysicalDisk, { pdskid });
  return { ...volume, pdskid };
}

async function statusesOfSnapshot(state: State, lvolid: number) {
  const members = linearOf(await state.run(showVolume, { lvolid })).components.flatMap(
    (mirror) => mirror.components,
  );
  return new Map(
    members.map((extent) => [
      extent.lvolid,
      { status: extent.mirror_status, ssvrid: extent.lvolspec.ssvrid },
    ]),
  );
}

const heal = ({ state, mirrorid }: Attached) => state.run(healMirror, { mirrorid, silentTooLong: nobody });
const statuses = async ({ state, lvolid }: Attached) => [...(await statusesOf(state, lvolid)).values()];

test("an attached volume's copy stays until another is in sync, then its head lets go of it, and the disk gets empty", async () => {
  const volume = await evacuating(4);
  const { state, lvolid, pdskid, dextids } = volume;
  const [a, b] = dextids;
  expect(await priorityOf(state, pdskid)).toBe(Priority.EVACUATE);
  expect(await noticesOf(state)).toEqual([`disk ${showDisk(pdskid)} is being evacuated: 1 extent left`]);
  await heal(volume);
  expect(await statuses(volume)).toEqual([...WHOLE, SPARE]);
  await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringMatching(/is being evacuated: 1 extent left/),
  });
  await heal(volume);
  await resyncAll(state);
  expect(await statuses(volume)).toEqual([...WHOLE, INSYNC]);
  await heal(volume);
  expect(await state.run(readResync, { dextid: b })).toMatchObject({ remove: { lvolid: a } });
  await healAll(state, 3);
  expect((await statusesOf(state, lvolid)).has(a)).toBe(false);
  expect(await statuses(volume)).toEqual(WHOLE);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  expect(await noticesOf(state)).toEqual([`disk ${showDisk(pdskid)} is being evacuated: 1 GB left to shred`]);
  expect(await state.run(recordEvacuated, {})).toBe(0);
  await state.finishShreds();
  expect(await state.run(recordEvacuated, {})).toBe(1);
  expect(await state.run(recordEvacuated, {})).toBe(0);
  expect(await emptied(state)).toEqual([`disk ${showDisk(pdskid)} is empty: it can be deleted`]);
  expect(await noticesOf(state)).toEqual([`disk ${showDisk(pdskid)} is evacuated: it can be deleted`]);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await state.findings()).toEqual([]);
});

test("without room it waits, says so, and goes on when there is some", async () => {
  const volume = await evacuating(3);
  const { state, pdskid } = volume;
  expect(await heal(volume)).toMatchObject({ changed: false, noRoom: expect.stringMatching(/1 GB/) });
  expect(await statuses(volume)).toEqual(WHOLE);
  await state.addServer(4, 4);
  await healAll(state, 6);
  expect(await statuses(volume)).toEqual(WHOLE);
  await state.finishShreds();
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await state.findings()).toEqual([]);
});

test("cancelled while another copy is being made, that one is given up, and everything is as before", async () => {
  const volume = await evacuating(4);
  const { state, pdskid, dextids } = volume;
  await heal(volume);
  await heal(volume);
  expect(await state.claim("resync")).toHaveLength(1);
  await state.run(evacuatePhysicalDisk, { pdskid, cancel: true });
  expect(await priorityOf(state, pdskid)).toBe(Priority.HIGH);
  await healAll(state, 2);
  expect([...(await statusesOf(state, volume.lvolid)).keys()]).toEqual([...dextids]);
  await state.finishShreds();
  const free = (await state.run(listPhysicalDisks, {})).map(({ available }) => available);
  expect(free.sort()).toEqual([3, 3, 3, 4]);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  expect(await noticesOf(state)).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("cancelled when another copy was just made, the newest is let go by the head", async () => {
  const volume = await evacuating(4);
  const { state, pdskid, dextids } = volume;
  await heal(volume);
  await heal(volume);
  await resyncAll(state);
  expect(await statuses(volume)).toEqual([...WHOLE, INSYNC]);
  await state.run(evacuatePhysicalDisk, { pdskid, cancel: true });
  await healAll(state, 4);
  expect([...(await statusesOf(state, volume.lvolid)).keys()]).toEqual([...dextids]);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("of a detached volume the copy goes without its head, once there are enough others", async () => {
  const volume = await evacuating(4);
  const { state, lvolid, dextids } = volume;
  await heal(volume);
  await heal(volume);
  await resyncAll(state);
  await detach(state, lvolid);
  expect((await statusesOf(state, lvolid)).get(dextids[0])).toBe(FAULTY);
  await healAll(state, 2);
  expect(await statuses(volume)).toEqual(WHOLE);
  expect((await statusesOf(state, lvolid)).has(dextids[0])).toBe(false);
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  expect(await state.findings()).toEqual([]);
});

test("what was never attached is placed elsewhere at once", async () => {
  const state = await State.open();
  for (const number of [1, 2, 3]) await state.addServer(number, 4);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 3, redundancy: 2 });
  const [dextid = 0] = [...(await statusesOf(state, lvolid)).keys()];
  const { ssvrid } = await placeOf({ state, lvolid }, dextid);
  await state.run(evacuateStorageServer, { ssvrid });
  await healAll(state, 2);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([ALLOCATED, ALLOCATED]);
  expect((await statusesOf(state, lvolid)).has(dextid)).toBe(false);
  expect(await state.run(recordEvacuated, {})).toBe(1);
  expect(await state.run(deleteStorageServer, { ssvrid })).toBe(0);
  expect(await state.findings()).toEqual([]);
});

test("a member on its way to a disk that is being evacuated is given up when others have taken all places, not before", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid, dextids } = volume;
  const [a] = dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid: a, version: 1 });
  const { ssvrid } = await placeOf(volume, a);
  await state.run(evacuateStorageServer, { ssvrid });
  await heal(volume);
  // It may lack little, and the one elsewhere is empty.
  expect((await statusesOf(state, lvolid)).get(a)).toBe(SPARE);
  await healAll(state, 4);
  expect(await statuses(volume)).toEqual(WHOLE);
  expect((await statusesOf(state, lvolid)).has(a)).toBe(false);
  expect(await state.findings()).toEqual([]);
});

test("a head is told to let go of a copy while others are copied as far as the limits allow", async () => {
  const { state, hsvrid, lvolid, mirrorid, dextids } = await attachedVolume(5, 8, { max_resync_tasks: 1 });
  const other = await state.run(createVolume, { lvolname: "w", capacity: 1, redundancy: 3 });
  const jobid = await state.run(beginAttach, { lvolid: other, hsvrid });
  await state.claim("attach");
  await state.run(finishAttach, { jobid, lvolid: other });
  const { pdskid } = await placeOf({ state, lvolid }, dextids[0]);
  await state.run(evacuatePhysicalDisk, { pdskid });
  // It gets another copy, which is told to its head, which copies.
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  await resyncAll(state);
  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const [mirror] = linearOf(await treeOf(state, other)).components;
  const [lost] = mirror?.components ?? [];
  if (mirror === undefined || lost === undefined) throw new Error("the other volume has no copies");
  const failed = { lvolid: other, epoch: 1, mirrorid: mirror.lvolid, dextid: lost.lvolid };
  await state.run(reportMemberFailure, { ...failed, version: 1 });
  await state.run(healMirror, { mirrorid: mirror.lvolid, silentTooLong: nobody });
  const asked = [];
  for (const { subject } of await state.claim("resync")) {
    const plan = await state.run(readResync, { dextid: subject });
    if (typeof plan === "object") asked.push([plan.mirrorid, plan.remove?.lvolid]);
  }
  expect(asked).toContainEqual([mirrorid, dextids[0]]);
  expect(asked).toContainEqual([mirror.lvolid, undefined]);
});

test("the space of a snapshot moves with the volume that it belongs to", async () => {
  const volume = await attachedVolume(5, 8);
  const { state, lvolid } = volume;
  const taken = { origin_lvolid: lvolid, snapshot_lvolname: "s" };
  const { lvolid: snapshot, jobid = 0 } = await state.run(createSnapshot, taken);
  const [dextid = 0] = [...(await statusesOfSnapshot(state, snapshot)).keys()];
  const ssvrid = (await statusesOfSnapshot(state, snapshot)).get(dextid)?.ssvrid ?? 0;
  await state.run(evacuateStorageServer, { ssvrid });
  // Nothing moves while it is being taken, when its head may be told of its members.
  await healAll(state, 6);
  expect((await statusesOfSnapshot(state, snapshot)).has(dextid)).toBe(true);
  await state.claim("create-snapshot");
  await state.run(finishSnapshot, { jobid, lvolid: snapshot });
  await healAll(state, 6);
  const moved = await statusesOfSnapshot(state, snapshot);
  expect([...moved.values()].map(({ status }) => status)).toEqual([...WHOLE, ...WHOLE]);
  expect([...moved.values()].map((member) => member.ssvrid)).not.toContain(ssvrid);
  expect(await statuses(volume)).toEqual(WHOLE);
  expect(await state.findings()).toEqual([]);
});

test("space of a lost snapshot stays, and is said to wait for its deletion", async () => {
  const { state, lvolid } = await attachedVolume(5, 8);
  const taken = { origin_lvolid: lvolid, snapshot_lvolname: "s" };
  const { lvolid: snapshot, jobid = 0 } = await state.run(createSnapshot, taken);
  await state.claim("create-snapshot");
  await state.run(finishSnapshot, { jobid, lvolid: snapshot });
  const loss = { lvolid, epoch: 1, snapshot_lvolid: snapshot, reason: "its space failed" };
  await state.run(reportSnapshotFailure, loss);
  const { ssvrid = 0 } = [...(await statusesOfSnapshot(state, snapshot)).values()][0] ?? {};
  await state.run(evacuateStorageServer, { ssvrid });
  await healAll(state, 6);
  const left = (await noticesOf(state)).find((notice) => notice.includes("is being evacuated"));
  expect(left).toMatch(/(\d+) extents? left, \1 of lost snapshots, which have to be deleted$/);
});

test("what was wanted is not forgotten while a server is away, and a disk with bad blocks is LOW afterwards", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const again = { ssvrid, local_path: "/dev/sdb", pdskid, capacity: sectorsOf(4) };
  await state.run(notifyBadBlocks, { pdskid, blocks: [1] });
  await state.run(evacuatePhysicalDisk, { pdskid });
  await state.run(evacuateStorageServer, { ssvrid });
  const serverPriority = async () => (await state.run(listStorageServers, {}))[0]?.priority;
  for (const comeBack of [
    () => state.run(markHeard, { kind: "storage", id: ssvrid } as const),
    async () => {
      await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "2" });
      await state.run(registerPhysicalDisk, again);
    },
  ]) {
    await state.run(markSilent, { kind: "storage", id: ssvrid });
    expect([await priorityOf(state, pdskid), await serverPriority()]).toEqual([
      Priority.OFFLINE,
      Priority.OFFLINE,
    ]);
    await comeBack();
    expect([await priorityOf(state, pdskid), await serverPriority()]).toEqual([
      Priority.EVACUATE,
      Priority.EVACUATE,
    ]);
  }
  // Cancelled while it is away, it comes back as if nothing had been.
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  await state.run(evacuateStorageServer, { ssvrid, cancel: true });
  expect(await serverPriority()).toBe(Priority.OFFLINE);
  await state.run(markHeard, { kind: "storage", id: ssvrid });
  expect(await serverPriority()).toBe(Priority.HIGH);
  await state.run(evacuatePhysicalDisk, { pdskid, cancel: true });
  expect(await priorityOf(state, pdskid)).toBe(Priority.LOW);
});

test("a failed disk is refused with what to do, and one that fails while it is evacuated is a failed one", async () => {
  const volume = await evacuating(4);
  const { state, pdskid } = volume;
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
  await expect(state.run(evacuatePhysicalDisk, { pdskid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringMatching(/is FAULTY.*deleted/),
  });
  expect(await state.run(evacuatePhysicalDisk, { pdskid, cancel: true })).toBe(0);
  expect(await priorityOf(state, pdskid)).toBe(Priority.FAULTY);
  await healAll(state, 4);
  expect(await statuses(volume)).toEqual(WHOLE);
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await state.findings()).toEqual([]);
});
