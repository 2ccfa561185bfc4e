import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf } from "./copies.js";
import { testOptionalId, whileResyncRuns } from "./lists.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { MadeUpServers } from "./server-registration.js";
import { createSmall, createSmallAttached, patient } from "./volumes.js";

const DISK_GB = 2;
const cluster = shareCluster({ storageServers: 3, diskGb: DISK_GB, gate: true, manager: patient });
const method = "listStorageServers";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);
const list = () => cluster().api(method, {});
const availableOf = async (ssvrid: number): Promise<number | undefined> =>
  (await cluster().api(method, { ssvrid }))[0]?.available;

test("listStorageServers lists every storage server by id, with its state, addresses, zone and space", async () => {
  const real = cluster().storage.map(({ plan: { address } }) => ({
    priority: Priority.HIGH,
    ip_data: [address],
    resync: 0,
    available: DISK_GB,
    capacity: DISK_GB,
    zone: "",
  }));
  const seen = await list();
  const ids = seen.map(({ ssvrid }) => ssvrid);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  const byAddress = seen.map(({ ssvrid: _, ...rest }) => rest).toSorted(byFirstAddress);
  expect(byAddress).toEqual(real.toSorted(byFirstAddress));

  const [one = "", two = ""] = servers.addresses(2);
  const ip_data = [two, one];
  const ssvrid = await cluster().api("registerStorageServer", { ip_data, zone: "rack 1" });
  const made = { ssvrid, priority: Priority.HIGH, ip_data, resync: 0, zone: "rack 1" } as const;
  expect(await list()).toEqual([...seen, { ...made, available: 0, capacity: 0 }]);
  // Space that waits for its shred is there, and not available.
  await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdb", gigabytes: 4 });
  const faulty = await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdc", gigabytes: 3 });
  expect(await list()).toEqual([...seen, { ...made, available: 0, capacity: 7 }]);
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: faulty });
  await cluster().api("deletePhysicalDisk", { pdskid: faulty });
  expect(await list()).toEqual([...seen, { ...made, available: 0, capacity: 4 }]);
  await servers.fail(ssvrid);
  expect(await list()).toEqual([...seen, { ...made, priority: Priority.OFFLINE, available: 0, capacity: 4 }]);
  await cluster().api("deleteStorageServer", { ssvrid });
  expect(await list()).toEqual(seen);
});

const byFirstAddress = (
  a: { readonly ip_data: readonly string[] },
  b: { readonly ip_data: readonly string[] },
): number => String(a.ip_data).localeCompare(String(b.ip_data));

testOptionalId(cluster, { method, member: "ssvrid", what: "storage server" });

test("listStorageServers tells less space available after a create, and as much as before after a delete", async () => {
  const before = await list();
  const { lvolid } = await createSmall(cluster(), "never-attached");
  const holders = (await copiesOf(cluster(), lvolid)).map(({ lvolspec }) => lvolspec.ssvrid);
  expect(await list()).toEqual(
    before.map((server) => ({
      ...server,
      available: server.available - Number(holders.includes(server.ssvrid)),
    })),
  );
  await cluster().api("deleteLogicalVolume", { lvolid });
  expect(await list()).toEqual(before);
});

test("listStorageServers tells the space of a volume that was attached available once it is shredded", async () => {
  const before = await list();
  const { lvolid } = await createSmallAttached(cluster(), "attached");
  await cluster().api("detachLogicalVolume", { lvolid });
  const [holder] = (await copiesOf(cluster(), lvolid)).map(({ lvolspec }) => lvolspec.ssvrid);
  const hold = cluster().gate.hold({ method: "registerShredRequest" });
  await cluster().api("deleteLogicalVolume", { lvolid });
  expect(await availableOf(holder ?? 0)).toBe(DISK_GB - 1);
  await hold.next();
  expect(await availableOf(holder ?? 0)).toBe(DISK_GB - 1);
  await hold.messages[0]?.deliver();
  await hold.release();
  await waitUntil("its space is shredded", async () =>
    (await list()).every(({ available }, index) => available === before[index]?.available),
  );
  expect(await list()).toEqual(before);
});

test("listStorageServers counts a resync on the storage server that it runs to", async () => {
  await whileResyncRuns(cluster(), async (resync) => {
    const counted = (await list()).filter((server) => server.resync > 0);
    expect(counted).toMatchObject([{ ssvrid: resync.ssvrid, resync: 1 }]);
  });
  await waitUntil("no resync runs", async () => (await list()).every(({ resync }) => resync === 0));
});
