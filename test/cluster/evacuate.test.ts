import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { MemberStatus, Priority } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { membersOf, mirrorsOf, patientHead, type TestCluster } from "../harness/cluster.js";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";
import { expectSound, type Written } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { createOpened, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const REDUNDANCY = 3;
const LOOK_MS = 5;
const PIECES = 48;
/** Three copies of a GiB, one after the other. */
const MOVED_MS = 480_000;

/** Looks again and again, at every commit that comes in between, how many INSYNC members the poorest mirror has. */
function watchCopies(cluster: TestCluster): { readonly fewest: () => number } {
  const path = String(cluster.manager.plan.conf.storage_manager?.database);
  const database = new SqliteDatabase(path, { readonly: true });
  const count = database.prepare(`
    SELECT min(insync) AS fewest FROM (SELECT mirror.mirrorid, (
      SELECT count(*) FROM extent WHERE extent.mirrorid = mirror.mirrorid AND status = ${MemberStatus.INSYNC}) AS insync
    FROM mirror)`);
  let fewest = REDUNDANCY;
  const timer = setInterval(() => {
    fewest = Math.min(fewest, (count.get() as { readonly fewest: number }).fewest);
  }, LOOK_MS);
  onTestFinished(() => {
    clearInterval(timer);
    database.close();
  });
  return { fewest: () => fewest };
}

/** Writes one piece after the other until it is told to stop. @returns what can be read then */
function keepWriting(client: NbdClient): { readonly stop: () => Promise<readonly Written[]> } {
  const written = new Map<number, Buffer>();
  let isStopped = false;
  const write = async (): Promise<void> => {
    for (let round = 0; !isStopped; round += 1) {
      const offset = (round % PIECES) * 61 * MIB;
      const data = randomData(`piece ${round}`, MIB);
      await client.write(offset, data);
      written.set(offset, data);
    }
  };
  const done = write();
  return {
    stop: async () => {
      isStopped = true;
      await done;
      return [...written].map(([offset, data]) => ({ offset, data }));
    },
  };
}

async function volumeInUse(storageServers: number) {
  // One copy at a time, so that there is a middle.
  const cluster = await useCluster({
    storageServers,
    diskGb: 4,
    manager: { max_resync_tasks: 1 },
    head: patientHead,
  });
  const head = cluster.heads[0] as TestServer;
  const volume = { name: "data", gigabytes: 3, redundancy: REDUNDANCY, head };
  const { lvolid, client } = await createOpened(cluster, volume);
  const { id: ssvrid, server } = await serverOfFirstMirror(cluster, lvolid);
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid });
  const copies = watchCopies(cluster);
  return {
    cluster,
    lvolid,
    client,
    ssvrid,
    server,
    pdskid: disk?.pdskid ?? 0,
    copies,
    writer: keepWriting(client),
  };
}

const noticesOf = async (cluster: TestCluster): Promise<readonly string[]> =>
  (await cluster.status()).notices;

test("a disk, then a server is emptied while its volume is written, the manager killed meanwhile, and no copy is ever missing", async () => {
  const { cluster, lvolid, client, ssvrid, pdskid, copies, writer } = await volumeInUse(5);
  await cluster.api("evacuatePhysicalDisk", { pdskid });
  await waitUntil("status tells how far it is", async () =>
    (await noticesOf(cluster)).some((notice) =>
      /^disk pdsk-\S+ is being evacuated: \d extents? left$/.test(notice),
    ),
  );
  const timesTold = async (): Promise<number> => {
    const events = await cluster.api("listEvents", {});
    return events.filter(({ sentence }) => sentence.includes("is empty: it can be deleted")).length;
  };
  await waitUntil("it is told that the disk is empty", async () => (await timesTold()) > 0, MOVED_MS);
  expect(await cluster.api("deletePhysicalDisk", { pdskid })).toBe(0);
  const left = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  expect(left.map(({ lvolspec }) => lvolspec.ssvrid)).not.toContain(ssvrid);
  expect(copies.fewest()).toBe(REDUNDANCY);
  expect(await timesTold()).toBe(1);

  const second = await serverOfFirstMirror(cluster, lvolid);
  await cluster.api("evacuateStorageServer", { ssvrid: second.id });
  await waitUntil("the copying has begun", async () =>
    (await cluster.status()).jobs.some(({ kind, progress }) => kind === "resync" && progress >= 0),
  );
  await cluster.manager.kill();
  cluster.manager.up();
  await waitUntil(
    "the server can be deleted",
    async () => {
      return (await cluster.api("deleteStorageServer", { ssvrid: second.id })) === 0;
    },
    MOVED_MS,
  );
  await expectSound(cluster, lvolid, client, await writer.stop());
  expect(copies.fewest()).toBe(REDUNDANCY);
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  expect(members.map(({ lvolspec }) => lvolspec.ssvrid)).not.toContain(second.id);
}, 1_200_000);

test("an evacuation that is cancelled in the middle leaves everything in use, and no copy too many", async () => {
  const { cluster, lvolid, client, ssvrid, copies, writer } = await volumeInUse(4);
  const before = (await cluster.status()).capacity;
  await cluster.api("evacuateStorageServer", { ssvrid });
  await waitUntil(
    "the first copy has moved",
    async () => {
      const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
      const extra = members.filter(({ mirror_status }) => mirror_status === MemberStatus.INSYNC);
      return extra.length > 3 * REDUNDANCY || members.filter((m) => m.lvolspec.ssvrid === ssvrid).length < 3;
    },
    MOVED_MS,
  );
  await cluster.api("evacuateStorageServer", { ssvrid, cancel: true });
  await waitUntil("every mirror has what it should", async () =>
    mirrorsOf(await cluster.api("showLogicalVolume", { lvolid })).every(
      ({ components }) => components.length === REDUNDANCY,
    ),
  );
  const servers = await cluster.api("listStorageServers", {});
  const disks = await cluster.api("listPhysicalDisks", {});
  expect([...servers, ...disks].map(({ priority }) => priority)).toEqual(
    Array.from({ length: 8 }, () => Priority.HIGH),
  );
  await expectSound(cluster, lvolid, client, await writer.stop());
  await cluster.waitUntilUsable();
  expect((await cluster.status()).capacity).toEqual(before);
  expect(await noticesOf(cluster)).toEqual([]);
  expect(copies.fewest()).toBe(REDUNDANCY);
});
