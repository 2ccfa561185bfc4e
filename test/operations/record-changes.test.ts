import { expect, test } from "vitest";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { dropUnaskedMembers } from "../../manager/operations/drop-unasked-members.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { reportSnapshotFailure } from "../../manager/operations/report-snapshot.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { showVolume } from "../../shared/ids.js";
import { EventStatus, FailureTarget } from "../../shared/states.js";
import { attachedVolume } from "./attached.js";
import { detach } from "./detached.js";
import { eventsOf, newEvents } from "./events.js";
import { State, sectorsOf } from "./state.js";

const nobody: ReadonlySet<number> = new Set();
const ABNORMAL = 1;
const administrative = { event: 4, event_status: EventStatus.DONE, progress: 100, attempts: 0 };
const abnormal = { event: ABNORMAL, event_status: EventStatus.NONE, progress: -1 };

const added = async (state: State, work: () => Promise<unknown>): Promise<string[]> =>
  (await newEvents(state, work)).map(({ sentence }) => sentence);

test("new servers and disks are administrative changes, each with an event id of its own", async () => {
  const state = await State.open();
  await state.run(registerHeadServer, { ip_data: ["10.1.0.1", "10.3.0.1"], boot_id: "a", running: [] });
  const ssvrid = await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "a" });
  await state.run(registerPhysicalDisk, { ssvrid, local_path: "/dev/sdb", capacity: sectorsOf(4) });
  const events = await eventsOf(state);
  expect(events).toMatchObject([
    { target: FailureTarget.HSVR, targetid: 1, ...administrative },
    { target: FailureTarget.SSVR, targetid: 1, ...administrative },
    { target: FailureTarget.PDSK, targetid: 1, ...administrative },
  ]);
  expect(events.map(({ sentence }) => sentence)).toEqual([
    "head server hsvr-00000001 (10.1.0.1, 10.3.0.1) is registered",
    "storage server ssvr-00000001 (10.2.0.1) is registered",
    "disk pdsk-00000001 of ssvr-00000001 is registered: /dev/sdb, 4 GB",
  ]);
  expect(new Set(events.map(({ eventid }) => eventid)).size).toBe(3);
});

test("a registration that is repeated is no event; a machine that was started anew is one", async () => {
  const state = await State.open();
  await state.addHead(1);
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const disk = { ssvrid, pdskid, local_path: "/dev/sdb", capacity: sectorsOf(4) };
  const again = async (boot_id: string, starting: boolean) => {
    await state.run(registerHeadServer, { ip_data: ["10.1.0.1"], boot_id, running: [], starting });
    await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id, starting });
    await state.run(registerPhysicalDisk, disk);
  };
  expect(await added(state, () => again("boot 1", false))).toEqual([]);
  expect(await added(state, () => again("boot 1", true))).toEqual([]);
  expect(await added(state, () => again("boot 2", true))).toEqual([
    "head server hsvr-00000001 was started anew",
    "storage server ssvr-00000001 was started anew",
  ]);
});

test("servers and disks that come back are told, and what is new about a disk", async () => {
  const state = await State.open();
  const hsvrid = await state.addHead(1);
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: ssvrid });
  const back = await added(state, async () => {
    await state.run(registerHeadServer, { ip_data: ["10.1.0.1"], boot_id: "boot 1", running: [] });
    await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "boot 1" });
    await state.run(registerPhysicalDisk, { ssvrid, pdskid, local_path: "/dev/sdc", capacity: sectorsOf(6) });
  });
  expect(back).toEqual([
    "head server hsvr-00000001 is back",
    "storage server ssvr-00000001 is back",
    "disk pdsk-00000001 is back, is /dev/sdc now, has 6 GB, not 4",
  ]);
});

test("a server that falls silent is abnormal, and told again when it answers", async () => {
  const state = await State.open();
  const head = { kind: "head", id: await state.addHead(1) } as const;
  const storage = { kind: "storage", id: (await state.addServer(1, 4)).ssvrid } as const;
  const events = await newEvents(state, async () => {
    for (const server of [head, storage]) {
      for (const mark of [markSilent, markSilent, markHeard, markHeard]) await state.run(mark, server);
    }
  });
  expect(events).toMatchObject([
    { ...abnormal, target: FailureTarget.HSVR, sentence: "head server hsvr-00000001 does not answer" },
    { ...administrative, target: FailureTarget.HSVR, sentence: "head server hsvr-00000001 answers again" },
    { ...abnormal, target: FailureTarget.SSVR, sentence: "storage server ssvr-00000001 does not answer" },
    { ...administrative, target: FailureTarget.SSVR, sentence: "storage server ssvr-00000001 answers again" },
  ]);
});

test("volumes, and the snapshots of a detached one, are told as they are created and deleted", async () => {
  const { state, lvolid: origin_lvolid } = await attachedVolume(3, 8);
  await detach(state, origin_lvolid);
  const events = await newEvents(state, async () => {
    const lvolid = await state.run(createVolume, { lvolname: "w", capacity: 1, redundancy: 2 });
    await state.run(deleteVolume, { lvolid });
    const snapshot = await state.run(createSnapshot, { origin_lvolid, snapshot_lvolname: "s" });
    await state.run(deleteVolume, { lvolid: snapshot.lvolid });
  });
  const ids = events.map(({ targetid }) => showVolume(targetid));
  expect(events.map(({ sentence }) => sentence)).toEqual([
    `volume w (${ids[0]}) is created: 1 GB, 2 copies`,
    `volume w (${ids[1]}) is deleted`,
    `snapshot s (${ids[2]}) of volume v is taken`,
    `snapshot s (${ids[3]}) of volume v is deleted`,
  ]);
  for (const event of events) expect(event).toMatchObject({ ...administrative, target: FailureTarget.LVOL });
});

test("what changes nothing is no event, and neither is what is refused", async () => {
  const { state, lvolid, dextids } = await attachedVolume(4);
  const failed = { target: FailureTarget.LVOL, targetid: dextids[0] };
  expect(await added(state, () => state.run(notifyFailure, failed))).toHaveLength(1);
  expect(await added(state, () => state.run(notifyFailure, failed))).toEqual([]);
  const refused = state.run(deleteVolume, { lvolid });
  expect(await added(state, () => expect(refused).rejects.toMatchObject({ errno: "EBUSY" }))).toEqual([]);
});

test("a member that is dropped is named with its disk and its volume, and so is the one that takes its place", async () => {
  const { state, lvolid, mirrorid, dextids } = await attachedVolume(4);
  const [dextid] = dextids;
  const dropped = await newEvents(state, () =>
    state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 }),
  );
  const name =
    /^dext-[0-9a-f]{8} on pdsk-[0-9a-f]{8} \(1 GB\), mirror mirr-[0-9a-f]{8} of volume v is out of sync: /;
  const about = { ...abnormal, target: FailureTarget.LVOL, targetid: dextid };
  expect(dropped).toMatchObject([{ ...about, sentence: expect.stringMatching(name) }]);
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: dextid });
  const [placed] = await newEvents(state, () => state.run(healMirror, { mirrorid, silentTooLong: nobody }));
  expect(placed).toMatchObject({ ...abnormal, sentence: expect.stringContaining("gets a new member") });
});

test("a copy that a fence drops, because its server can't be asked, is told", async () => {
  const { state, lvolid, hsvrid } = await attachedVolume();
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  const [{ jobid } = { jobid: 0 }] = await state.claim("fence");
  const unasked = { jobid, lvolid, ssvrids: [2], isFence: true };
  const events = await newEvents(state, () => state.run(dropUnaskedMembers, unasked));
  expect(events).toMatchObject([
    { ...abnormal, sentence: expect.stringMatching(/is out of sync: ssvr-00000002 could not be asked$/) },
  ]);
});

test("a snapshot that is lost is an error", async () => {
  const { state, lvolid } = await attachedVolume(3, 8);
  await detach(state, lvolid);
  const snapshot = await state.run(createSnapshot, { origin_lvolid: lvolid, snapshot_lvolname: "s" });
  await state.store.transaction((tx) =>
    tx.updateTable("volume").set({ epoch_open: 1 }).where("lvolid", "=", lvolid).execute(),
  );
  const report = { lvolid, epoch: 1, snapshot_lvolid: snapshot.lvolid, reason: "its space is full" };
  const events = await newEvents(state, () => state.run(reportSnapshotFailure, report));
  expect(events).toMatchObject([
    { event: ABNORMAL, event_status: EventStatus.ERROR, targetid: snapshot.lvolid },
  ]);
});
