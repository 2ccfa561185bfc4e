import { expect, test } from "vitest";
import type { EventInfo } from "../../../shared/methods/manager-methods.js";
import { EventStatus, FailureTarget } from "../../../shared/states.js";
import { MIB } from "../../../shared/units.js";
import { editDatabase } from "../../harness/manager-database.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { useCluster } from "../../harness/use-cluster.js";
import { openVolume } from "../../harness/volume-io.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { storageServerOf, twoCopiesOf, waitUntilSound } from "./copies.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import type { NamedVolume } from "./naming.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals } from "./refusals.js";
import { MadeUpServers } from "./server-registration.js";
import {
  createSmall,
  createSmallAttached,
  createSnapshotOf,
  failToAttach,
  headOf,
  infoOf,
  patient,
  whileHeld,
} from "./volumes.js";

// Asked often, so that the silence of a server is seen; only one that refuses to answer is silent.
const manager = { ...patient, server_check_interval: 1 };
const cluster = shareCluster({ storageServers: 3, headServers: 1, diskGb: 8, gate: true, manager });
const method = "listEvents";
const { HSVR, SSVR, PDSK, LVOL } = FailureTarget;
const storageKind = { method: "registerStorageServer", target: SSVR, sequence: "ssvr" } as const;
const headKind = { method: "registerHeadServer", target: HSVR, sequence: "hsvr" } as const;
const servers = new MadeUpServers(cluster, storageKind);
const heads = new MadeUpServers(cluster, headKind);
const [ABNORMAL, RESYNC, SHRED, ADMINISTRATIVE] = [1, 2, 3, 4];

const list = (): Promise<readonly EventInfo[]> => cluster().api(method, { limit: 10_000 });

/** The newest event about a thing with such a sentence, as soon as there is one. */
async function eventOf(
  target: number,
  targetid: number,
  sentence: RegExp,
  events = list,
): Promise<EventInfo> {
  const fits = (event: EventInfo): boolean =>
    event.target === target && event.targetid === targetid && sentence.test(event.sentence);
  const what = `an event ${sentence} of ${target} ${targetid}`;
  return waitUntil(what, async () => (await events()).findLast(fits));
}

const finished = { event_status: EventStatus.DONE, progress: 100, last_error: "" };
const hasEnded = ({ event_status }: EventInfo): boolean =>
  event_status !== EventStatus.PENDING && event_status !== EventStatus.PROGRESS;
/** What happened in an instant, and no one did. */
const instant = { event_status: EventStatus.NONE, progress: -1, attempts: 0, last_error: "" };

test("listEvents tells of the start of a cluster: each server and each disk is registered, and each disk shredded", async () => {
  for (const { ssvrid } of await cluster().api("listStorageServers", {}))
    expect(await eventOf(SSVR, ssvrid, /is registered$/)).toMatchObject({ event: ADMINISTRATIVE });
  for (const { hsvrid } of await cluster().api("listHeadServers", {}))
    expect(await eventOf(HSVR, hsvrid, /is registered$/)).toMatchObject({ event: ADMINISTRATIVE });
  for (const { pdskid, local_path } of await cluster().api("listPhysicalDisks", {})) {
    const registered = await eventOf(PDSK, pdskid, /is registered: .* 8 GB$/);
    expect(registered).toMatchObject({ ...finished, event: ADMINISTRATIVE });
    expect(registered.sentence).toContain(local_path);
    const name = `pdsk-${pdskid.toString(16).padStart(8, "0")}`;
    const shreds = (await list()).filter(({ sentence }) => sentence.includes(`${name} (8 GB)`));
    // Whether its agent served it already at the first attempt is by chance.
    const done = { event_status: EventStatus.DONE, progress: 100 };
    expect(shreds).toMatchObject([{ ...done, event: SHRED, target: LVOL }]);
    expect(shreds[0]?.sentence).toMatch(/^shred of dext-/);
  }
});

let volume: NamedVolume = { lvolid: 0, lvolname: "worked-on" };
const volumeId = async (): Promise<number> => volume.lvolid;
/** A snapshot that is being deleted is not among those of its volume. */
let snapshot = 0;
async function snapshotId(): Promise<number> {
  snapshot = (await infoOf(cluster(), volume.lvolid)).associated_from[0]?.lvolid ?? snapshot;
  return snapshot;
}

/** Work that agents do, in an order that leads to each: the call to an agent that it needs, and what is shown. */
const works = {
  "an attach": {
    held: "attachLogicalVolume",
    event: ADMINISTRATIVE,
    sentence: /^attach of volume .* to hsvr-/,
    begin: async () => {
      volume = await createSmall(cluster(), volume.lvolname);
      await attach(cluster(), volume.lvolid, headOf(cluster()));
    },
    about: volumeId,
  },
  "the creation of a snapshot": {
    held: "createSnapshot",
    event: ADMINISTRATIVE,
    sentence: /^creation of snapshot .* of volume /,
    begin: () => createSnapshotOf(cluster(), volume, "its-snapshot"),
    about: snapshotId,
  },
  "the deletion of a snapshot": {
    held: "deleteSnapshot",
    event: ADMINISTRATIVE,
    sentence: /^deletion of snapshot .* of volume /,
    begin: () => cluster().api("deleteLogicalVolume", { lvolname: "its-snapshot" }),
    about: snapshotId,
  },
  "a detach": {
    held: "detachLogicalVolume",
    event: ADMINISTRATIVE,
    sentence: /^detach of volume .* from hsvr-/,
    begin: () => cluster().api("detachLogicalVolume", { lvolid: volume.lvolid }),
    about: volumeId,
  },
  "a fence": {
    held: "revokeEpoch",
    event: ABNORMAL,
    sentence: /^fence of volume .* at hsvr-.*: head server hsvr-.* was reported as failed$/,
    begin: async () => {
      await attach(cluster(), volume.lvolid, headOf(cluster()));
      const targetid = await cluster().headServerId(headOf(cluster()));
      await cluster().api("notifyFailure", { target: HSVR, targetid });
    },
    about: volumeId,
  },
} as const;

test.each(Object.entries(works))(
  "listEvents shows %s with PROGRESS while it is under way, and DONE afterwards",
  async (what, work) => {
    const { held, event, sentence, begin, about } = work;
    let targetid = 0;
    await whileHeld<unknown>(cluster(), { method: held, from: "manager" }, begin, async () => {
      targetid = await about();
      const shown = await eventOf(LVOL, targetid, sentence);
      expect(shown).toMatchObject({ event, event_status: EventStatus.PROGRESS, last_error: "" });
    });
    await waitUntil(`${what} is done`, async () => {
      const { event_status } = await eventOf(LVOL, targetid, sentence);
      return event_status === EventStatus.DONE;
    });
    expect(await eventOf(LVOL, targetid, sentence)).toMatchObject({ ...finished, event });
  },
);

test("listEvents tells that a head server is back after it was fenced", async () => {
  await bringHeadBack();
  await cluster().api("deleteLogicalVolume", { lvolid: volume.lvolid });
});

async function bringHeadBack(): Promise<void> {
  const head = headOf(cluster());
  const hsvrid = await cluster().headServerId(head);
  await head.killControl();
  head.up();
  expect(await eventOf(HSVR, hsvrid, /is back$/)).toMatchObject({ ...finished, event: ADMINISTRATIVE });
}

test("listEvents shows a failed attach as ERROR, with the error", async () => {
  const refused = await createSmall(cluster(), "refused");
  const { sentence } = await failToAttach(cluster(), refused);
  const { last_error, ...shown } = await eventOf(LVOL, refused.lvolid, /^attach of volume refused/);
  expect(shown).toMatchObject({ event: ABNORMAL, event_status: EventStatus.ERROR, progress: -1 });
  expect(last_error).not.toBe("");
  expect(sentence).toContain(last_error);
  await cluster().api("detachLogicalVolume", { lvolid: refused.lvolid });
});

test("listEvents shows a resync after a storage server was killed, and all that went before", async () => {
  const { lvolid, lvolname } = await createSmallAttached(cluster(), "survivor");
  const [{ lvolid: dextid, lvolspec }] = await twoCopiesOf(cluster(), lvolid);
  const server = await storageServerOf(cluster(), lvolspec.ssvrid);
  await server.kill();
  const client = await openVolume(headOf(cluster()), lvolname);
  await client.write(0, Buffer.alloc(MIB, 1));
  expect(await eventOf(SSVR, lvolspec.ssvrid, /does not answer$/)).toMatchObject({ ...instant });
  const missed = await eventOf(LVOL, dextid, /^dext-.*, mirror mirr-.* of volume survivor is out of sync/);
  expect(missed).toMatchObject({ ...instant, event: ABNORMAL });

  const hold = cluster().gate.hold({ method: "replaceMirrorDisk" });
  server.up();
  await hold.next();
  expect(await eventOf(SSVR, lvolspec.ssvrid, /(is back|answers again)$/)).toMatchObject(finished);
  const resync = /^resync of dext-.* on pdsk-.* \(1 GB\), mirror mirr-.* of volume survivor$/;
  const shown = await eventOf(LVOL, dextid, resync);
  expect(shown).toMatchObject({ event: RESYNC, event_status: EventStatus.PROGRESS });
  await hold.messages[0]?.deliver();
  await hold.release();
  await waitUntilSound(cluster(), lvolid);
  await waitUntil("the resync is done", async () => {
    const { eventid, event_status } = await eventOf(LVOL, dextid, resync);
    return eventid === shown.eventid && event_status === EventStatus.DONE;
  });
  await client.close();
  await cluster().api("detachLogicalVolume", { lvolid });
});

test("listEvents goes on with a shred that the manager's death interrupts, and keeps all that it told before", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "shredded");
  const [{ lvolid: dextid }] = await twoCopiesOf(cluster(), lvolid);
  await cluster().api("detachLogicalVolume", { lvolid });
  const hold = cluster().gate.hold({ method: "registerShredRequest" });
  await cluster().api("deleteLogicalVolume", { lvolid });
  const name = /^shred of dext-.* on pdsk-.* \(1 GB\)$/;
  await waitUntil("it runs", async () => {
    const { event_status } = await eventOf(LVOL, dextid, name);
    return event_status === EventStatus.PROGRESS;
  });
  const before = await list();
  await cluster().manager.kill();
  cluster().manager.up();
  await waitUntil("the manager is back", () => cluster().status());
  expect(await list()).toEqual(expect.arrayContaining(before.filter(hasEnded)));
  await hold.release();
  await waitUntil("it is done", async () => {
    const { event_status } = await eventOf(LVOL, dextid, name);
    return event_status === EventStatus.DONE;
  });
  expect(await eventOf(LVOL, dextid, name)).toMatchObject({ ...finished, event: SHRED });
});

test("listEvents tells of each thing that was reported as failed, once", async () => {
  const ssvrid = await servers.register(servers.addresses(1));
  const lost = await servers.register(servers.addresses(1));
  const pdskid = await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdb" });
  const hsvrid = await heads.register(heads.addresses(1));
  // That it fell silent is no reason not to tell that it was reported.
  await eventOf(HSVR, hsvrid, /does not answer$/);
  const { lvolid } = await createSmallAttached(cluster(), "half-lost");
  await cluster().api("detachLogicalVolume", { lvolid });
  const [{ lvolid: dextid }] = await twoCopiesOf(cluster(), lvolid);
  for (const [target, targetid] of [
    [HSVR, hsvrid],
    [SSVR, lost],
    [PDSK, pdskid],
    [LVOL, dextid],
  ] as const) {
    for (let time = 1; time <= 2; time += 1) await cluster().api("notifyFailure", { target, targetid });
    const about = (await list()).filter(
      (event) => event.target === target && event.targetid === targetid && event.event === ABNORMAL,
    );
    const reports = about.filter(({ sentence }) => sentence.endsWith("was reported as failed"));
    expect(reports, String(target)).toMatchObject([instant]);
  }
  const another = await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdc" });
  for (const blocks of [[1, 3], [3]]) await cluster().api("notifyBadBlocks", { pdskid: another, blocks });
  const bad = await eventOf(PDSK, another, /has bad blocks: 1, 3 \(2 new\)$/);
  expect(bad).toMatchObject({ ...instant, event: ABNORMAL });
  // Nobody will ever shred its disks.
  await servers.fail(ssvrid);
  await cluster().api("deleteStorageServer", { ssvrid });
  // A copy that holds nothing yet is replaced at once, which is told too.
  const { lvolid: empty } = await createSmall(cluster(), "empty");
  const [copy] = await twoCopiesOf(cluster(), empty);
  await cluster().api("notifyFailure", { target: LVOL, targetid: copy.lvolid });
  const sentence = /^mirror mirr-.* of volume empty gets a new member dext-.* on pdsk-/;
  const replaced = await waitUntil("another takes its place", async () =>
    (await list()).find((event) => sentence.test(event.sentence)),
  );
  expect(replaced).toMatchObject({ ...instant, event: ABNORMAL, target: LVOL });
});

test("listEvents tells of each administrative change as DONE", async () => {
  // Here a made-up server may not fall silent, for its disk is back only while it is in use.
  const own = await useCluster({ storageServers: 2, diskGb: 8, manager: patient });
  const servers = new MadeUpServers(() => own, storageKind);
  const heads = new MadeUpServers(() => own, headKind);
  const ip_data = servers.addresses(1);
  const ssvrid = await servers.register(ip_data);
  const pdskid = await registerMadeUpDisk(own, ssvrid, { local_path: "/dev/sdb" });
  const hsvrid = await heads.register(heads.addresses(1));
  await servers.fail(ssvrid);
  await servers.register(ip_data);
  await registerMadeUpDisk(own, ssvrid, { local_path: "/dev/sdb", gigabytes: 5 });
  await servers.fail(ssvrid);
  await heads.fail(hsvrid);
  const { lvolid } = await createSmall(own, "short-lived");
  const snapshot = await createSnapshotOf(own, { lvolid, lvolname: "" }, "its-snapshot");
  await own.api("deleteLogicalVolume", { lvolid: snapshot });
  await own.api("deleteLogicalVolume", { lvolid });
  await own.api("deletePhysicalDisk", { pdskid });
  await own.api("deleteStorageServer", { ssvrid });
  await own.api("deleteHeadServer", { hsvrid });
  for (const [target, targetid, sentence] of [
    [SSVR, ssvrid, /\(127\..*\) is registered$/],
    [SSVR, ssvrid, / is back$/],
    [SSVR, ssvrid, / was deleted$/],
    [PDSK, pdskid, /is registered: \/dev\/sdb, 4 GB$/],
    [PDSK, pdskid, / is back, has 5 GB, not 4$/],
    [PDSK, pdskid, / was deleted$/],
    [HSVR, hsvrid, /\(127\..*\) is registered$/],
    [HSVR, hsvrid, / was deleted$/],
    [LVOL, lvolid, /short-lived .*is created: 1 GB, 2 copies$/],
    [LVOL, lvolid, /short-lived .*is deleted$/],
    [LVOL, snapshot, /snapshot its-snapshot .* is taken$/],
    [LVOL, snapshot, /snapshot its-snapshot .* is deleted$/],
  ] as const) {
    const shown = await eventOf(target, targetid, sentence, () => own.api(method, { limit: 10_000 }));
    expect(shown, String(sentence)).toMatchObject({ ...finished, event: ADMINISTRATIVE, attempts: 0 });
  }
});

test("listEvents lists the oldest first, each with its time, and with a limit the newest", async () => {
  await waitUntil("nothing is under way", async () => (await list()).every(hasEnded));
  const all = await list();
  const times = all.map(({ time }) => time);
  expect(times).toEqual(times.toSorted());
  for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  expect(new Set(all.map(({ eventid }) => eventid)).size).toBe(all.length);
  for (const limit of [1, 2, 7, all.length - 1, all.length, 10_000])
    expect(await cluster().api(method, { limit }), String(limit)).toEqual(all.slice(-limit));
  expect(await cluster().api(method, {})).toEqual(all);
});

test("listEvents takes a limit from 1 to 10000, in every form of a whole number", async () => {
  const wrong = [0, -1, 10_001, 2 ** 40, "", "1", 1.5, true, [], {}];
  await expectRefusals(
    cluster(),
    method,
    wrong.map((limit) => [{ limit }, "EINVAL", "limit"] as const),
  );
  const about = { method, member: "limit", value: 3, others: () => ({}) } as const;
  for (const answer of await expectNumberForms(cluster(), about)) expect(answer).toHaveLength(3);
});

test("listEvents tells of shutdownAll as of the whole cluster, and of all before it after a restart", async () => {
  await cluster().api("shutdownAll", {});
  const shown = await eventOf(0, 0, /^the whole system was shut down$/);
  expect(shown).toMatchObject({ ...finished, event: ADMINISTRATIVE });
  const before = await list();
  await editDatabase(cluster(), () => undefined);
  expect(await list()).toEqual(before);
});
