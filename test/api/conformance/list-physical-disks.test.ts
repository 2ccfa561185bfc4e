import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf } from "./copies.js";
import { testOptionalId, whileResyncRuns } from "./lists.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { MadeUpServers } from "./server-registration.js";
import { createSmall, createSmallAttached, patient } from "./volumes.js";

const DISK_GB = 1;
const cluster = shareCluster({
  storageServers: 3,
  disksPerServer: 2,
  diskGb: DISK_GB,
  gate: true,
  manager: patient,
});
const method = "listPhysicalDisks";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);
const list = () => cluster().api(method, {});
const find = async (pdskid: number) => (await list()).find((disk) => disk.pdskid === pdskid);
const hex = (pdskid: number): string => `pdsk-${pdskid.toString(16).padStart(8, "0")}`;

test("listPhysicalDisks lists every disk by id, with its server, state, path, exports and space", async () => {
  const seen = await list();
  const ids = seen.map(({ pdskid }) => pdskid);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(seen.map(({ local_path }) => local_path).toSorted()).toEqual(
    cluster()
      .storage.flatMap(({ plan }) => plan.disks)
      .toSorted(),
  );
  const space = { available: DISK_GB, capacity: DISK_GB, unshredded: 0, resync: 0 };
  for (const server of cluster().storage) {
    const ssvrid = await cluster().storageServerId(server);
    const own = await cluster().api(method, { ssvrid });
    expect(own.map(({ local_path }) => local_path).toSorted()).toEqual(server.plan.disks.toSorted());
    for (const disk of own) {
      expect(disk).toEqual({
        ...space,
        ssvrid,
        pdskid: disk.pdskid,
        priority: Priority.HIGH,
        local_path: disk.local_path,
        iscsi_path: [expect.stringMatching(exportPattern(server, disk.pdskid))],
      });
      await expectServed(disk.iscsi_path[0] ?? "");
    }
  }
});

function exportPattern({ plan }: TestServer, pdskid: number): RegExp {
  return new RegExp(`^nbd://${plan.address.replaceAll(".", "\\.")}:\\d+/${hex(pdskid)}$`);
}

/** Somebody listens there. */
async function expectServed(path: string): Promise<void> {
  const { hostname: host, port } = new URL(path.replace("nbd:", "http:"));
  const socket = connect({ host, port: Number(port) });
  await once(socket, "connect");
  socket.destroy();
}

test("listPhysicalDisks lists a new disk with all of its space unshredded, one export per address, and every state", async () => {
  const seen = await list();
  const addresses = servers.addresses(2);
  const ssvrid = await servers.register(addresses);
  expect(await cluster().api(method, { ssvrid })).toEqual([]);
  const local_path = "/dev/disk/by-id/größe";
  const pdskid = await registerMadeUpDisk(cluster(), ssvrid, { local_path, gigabytes: 4 });
  const made = {
    ssvrid,
    pdskid,
    priority: Priority.HIGH,
    iscsi_path: addresses.map((address) => `nbd://${address}:10809/${hex(pdskid)}`),
    local_path,
    available: 0,
    capacity: 4,
    resync: 0,
    unshredded: 4,
  };
  expect(await list()).toEqual([...seen, made]);
  await cluster().api("notifyBadBlocks", { pdskid, blocks: [3] });
  expect(await find(pdskid)).toEqual({ ...made, priority: Priority.LOW });
  await servers.fail(ssvrid);
  expect(await find(pdskid)).toEqual({ ...made, priority: Priority.OFFLINE });
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  expect(await find(pdskid)).toEqual({ ...made, priority: Priority.FAULTY });
  await cluster().api("deletePhysicalDisk", { pdskid });
  expect(await list()).toEqual(seen);
});

testOptionalId(cluster, { method, member: "ssvrid", what: "storage server" });

test("listPhysicalDisks tells what a create takes, and what a delete gives back, at once or after a shred", async () => {
  const before = await list();
  const small = await createSmall(cluster(), "never-attached");
  const places = (await copiesOf(cluster(), small.lvolid)).map(({ lvolspec }) => lvolspec.pdskid);
  const taken = before.map((disk) =>
    places.includes(disk.pdskid) ? { ...disk, available: DISK_GB - 1 } : disk,
  );
  expect(await list()).toEqual(taken);
  await cluster().api("deleteLogicalVolume", { lvolid: small.lvolid });
  expect(await list()).toEqual(before);

  const { lvolid } = await createSmallAttached(cluster(), "attached");
  await cluster().api("detachLogicalVolume", { lvolid });
  const [place = 0] = (await copiesOf(cluster(), lvolid)).map(({ lvolspec }) => lvolspec.pdskid);
  const hold = cluster().gate.hold({ method: "registerShredRequest" });
  await cluster().api("deleteLogicalVolume", { lvolid });
  expect(await find(place)).toMatchObject({ available: DISK_GB - 1, unshredded: 1 });
  await hold.release();
  await waitUntil("it is shredded", async () => (await list()).every(({ unshredded }) => unshredded === 0));
  expect(await list()).toEqual(before);
});

test("listPhysicalDisks counts a resync on the disk that it runs to", async () => {
  await whileResyncRuns(cluster(), async ({ pdskid }) => {
    const counted = (await list()).filter(({ resync }) => resync > 0);
    expect(counted).toMatchObject([{ pdskid, resync: 1 }]);
  });
  await waitUntil("no resync runs", async () => (await list()).every(({ resync }) => resync === 0));
});
