import { beforeAll, expect, test } from "vitest";
import { MAX_ID } from "../../../shared/ids.js";
import type { DiskInfo } from "../../../shared/methods/manager-methods.js";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { readNextIds, setNextIds } from "../../harness/manager-database.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals, expectRefused } from "./refusals.js";
import { MadeUpServers } from "./server-registration.js";
import { patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 1, headServers: 0, manager: patient });
const method = "registerPhysicalDisk";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);
/** A server without an agent, and its addresses. */
let ip_data: string[] = [];
let ssvrid = 0;

beforeAll(async () => {
  ip_data = servers.addresses(2);
  ssvrid = await servers.register(ip_data);
});

/** Sectors of 1 GB and its metadata on a disk; the label takes 2048 more. */
const UNIT = 2_099_200;
const LABEL = 2048;
const sectors = (gigabytes: number): string => String(gigabytes * UNIT + LABEL);

const register = (params: object): Promise<number> =>
  cluster().api(method, { ssvrid, capacity: sectors(4), local_path: "/dev/sdb", ...params });

async function find(pdskid: number): Promise<DiskInfo> {
  const disk = (await cluster().api("listPhysicalDisks", {})).find((listed) => listed.pdskid === pdskid);
  if (disk === undefined) throw new Error(`disk ${pdskid} is not listed`);
  return disk;
}

/** The server is declared lost and comes back; its disks are OFFLINE until they are registered. */
async function takeDisksOffline(): Promise<void> {
  await servers.fail(ssvrid);
  await servers.register(ip_data);
}

test("registerPhysicalDisk gives each new disk the next id; it is HIGH, and all of it waits for its shred", async () => {
  const first = await register({ local_path: "/dev/new-1" });
  expect(await register({ local_path: "/dev/new-2", nbd_port: 10_999 })).toBe(first + 1);
  const { local_path, iscsi_path, ...rest } = await find(first + 1);
  expect(local_path).toBe("/dev/new-2");
  const name = `pdsk-${(first + 1).toString(16).padStart(8, "0")}`;
  expect(iscsi_path).toEqual(ip_data.map((address) => `nbd://${address}:10999/${name}`));
  const space = { capacity: 4, unshredded: 4, available: 0, resync: 0 };
  expect(rest).toEqual({ ssvrid, pdskid: first + 1, priority: Priority.HIGH, ...space });
});

test.each([
  ["one unit and the label", UNIT + LABEL, 1],
  ["all but a sector of a second unit and the label", 2 * UNIT + LABEL - 1, 1],
  ["two units and no rest", 2 * UNIT, 1],
  ["two units and the label", 2 * UNIT + LABEL, 2],
  ["10 units and half of one", 10.5 * UNIT, 10],
  ["a million units", 1_000_000 * UNIT + LABEL, 1_000_000],
])("registerPhysicalDisk makes whole gigabytes of %s", async (what, count, capacity) => {
  const pdskid = await register({ local_path: `/dev/${what}`, capacity: String(count) });
  expect(await find(pdskid)).toMatchObject({ capacity, unshredded: capacity, available: 0 });
});

test("registerPhysicalDisk refuses a capacity that is none, or below a unit and the label, with EINVAL", async () => {
  const none = ["", "12x", "-1", "1.5", "1e9", " 4200000", "0x400000", "1".repeat(16), 16_777_216, true, []];
  const small = ["0", "1", "2048", String(UNIT - 1), String(UNIT), String(UNIT + LABEL - 1)];
  const wrong = [undefined, ...none, ...small];
  await expectRefusals(
    cluster(),
    method,
    wrong.map((capacity) => [{ ssvrid, local_path: "/dev/wrong", capacity }, "EINVAL", "capacity"] as const),
  );
});

test("registerPhysicalDisk refuses a server that is not there, and wrong members, with EINVAL, and an id that is not there with ENOENT", async () => {
  const disk = { ssvrid, local_path: "/dev/wrong", capacity: sectors(4) };
  await expectRefusals(cluster(), method, [
    [{ ...disk, ssvrid: undefined }, "EINVAL", "ssvrid"],
    [{ ...disk, ssvrid: 0 }, "EINVAL", "ssvrid"],
    [{ ...disk, ssvrid: 2_000_000 }, "EINVAL", "ssvrid"],
    [{ ...disk, ssvrid: MAX_ID + 1 }, "EINVAL", "ssvrid"],
    [{ ...disk, local_path: undefined }, "EINVAL", "local_path"],
    [{ ...disk, local_path: "" }, "EINVAL", "local_path"],
    [{ ...disk, local_path: 5 }, "EINVAL", "local_path"],
    [{ ...disk, local_path: "x".repeat(4097) }, "EINVAL", "local_path"],
    [{ ...disk, serial: "" }, "EINVAL", "serial"],
    [{ ...disk, serial: 5 }, "EINVAL", "serial"],
    [{ ...disk, serial: "x".repeat(257) }, "EINVAL", "serial"],
    [{ ...disk, pdskid: 2_000_000 }, "ENOENT", "pdskid"],
    [{ ...disk, pdskid: "1" }, "EINVAL", "pdskid"],
    [{ ...disk, nbd_port: 0 }, "EINVAL", "nbd_port"],
    [{ ...disk, nbd_port: 65_536 }, "EINVAL", "nbd_port"],
  ]);
});

test("registerPhysicalDisk takes ssvrid in every form of a whole number", async () => {
  const others = (call: number) => ({ local_path: `/dev/forms-${call}`, capacity: sectors(1) });
  const ids = await expectNumberForms(cluster(), { method, member: "ssvrid", value: ssvrid, others });
  for (const pdskid of ids) expect(await find(Number(pdskid))).toMatchObject({ ssvrid });
});

test.each([
  `/dev/disk/by-id/it's "quoted"; DROP TABLE disk; --`,
  "/srv/with spaces and\ttabs/disk 1",
  "/srv/größe/磁盘/💾",
  "/srv/<&>/%s/\\",
  "x".repeat(4096),
])("registerPhysicalDisk keeps any local_path as it is: %.40s", async (local_path) => {
  const pdskid = await register({ local_path });
  expect(await find(pdskid)).toMatchObject({ local_path });
  await expectRefused(cluster(), method, { ssvrid, local_path, capacity: sectors(4) }, "EEXIST");
});

test("registerPhysicalDisk ignores srp_name, and other members that it does not know", async () => {
  const disk = { ssvrid, local_path: "/dev/srp", capacity: sectors(4) };
  const pdskid = Number(await cluster().raw(method, { ver: 5, ...disk, srp_name: 5, hsvrid: "x" }));
  expect(await find(pdskid)).not.toHaveProperty("srp_name");
});

test("registerPhysicalDisk takes the same local_path on another server for a new disk", async () => {
  const other = await servers.register(servers.addresses(1));
  const one = await register({ local_path: "/dev/same" });
  const two = await register({ local_path: "/dev/same", ssvrid: other });
  expect(two).not.toBe(one);
  expect(await find(one)).toMatchObject({ ssvrid });
  expect(await find(two)).toMatchObject({ ssvrid: other });
});

test("registerPhysicalDisk answers EBUSY while another server has the disk of that serial, and then moves it", async () => {
  const addresses = servers.addresses(1);
  const other = await servers.register(addresses);
  const pdskid = await register({ local_path: "/dev/moving", serial: "moving", ssvrid: other });
  const here = { ssvrid, local_path: "/dev/moved", capacity: sectors(4) };
  await expectRefusals(cluster(), method, [
    [{ ...here, serial: "moving" }, "EBUSY", "storage server"],
    [{ ...here, pdskid }, "EBUSY", "storage server"],
  ]);
  await servers.fail(other);
  expect(await register({ ...here, serial: "moving" })).toBe(pdskid);
  expect(await find(pdskid)).toMatchObject({
    ssvrid,
    local_path: "/dev/moved",
    priority: Priority.HIGH,
    unshredded: 4,
  });
  await servers.register(addresses);
  const back = { ssvrid: other, local_path: "/dev/moving", capacity: sectors(4), serial: "moving" };
  await expectRefused(cluster(), method, back, "EBUSY");
});

test("registerPhysicalDisk answers EEXIST for a disk that is HIGH or FAULTY, known by its path or serial", async () => {
  const disk = { ssvrid, local_path: "/dev/known", capacity: sectors(4) };
  const pdskid = await register({ ...disk, serial: "known" });
  const expectKnown = (sentence: string): Promise<void> =>
    expectRefusals(cluster(), method, [
      [disk, "EEXIST", sentence],
      [{ ...disk, serial: "known" }, "EEXIST", sentence],
      [{ ...disk, serial: "known", local_path: "/dev/elsewhere" }, "EEXIST", sentence],
    ]);
  await expectKnown("is registered");
  // By the id on its label it is known for sure: that is no second disk.
  expect(await register({ ...disk, pdskid })).toBe(pdskid);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.HIGH });

  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  await expectKnown("was reported as failed");
  await expectRefused(cluster(), method, { ...disk, pdskid }, "EEXIST");
  expect(await find(pdskid)).toMatchObject({ priority: Priority.FAULTY });
});

test("registerPhysicalDisk answers EEXIST for the serial of one disk beside the id of another", async () => {
  await register({ local_path: "/dev/twin-1", serial: "twin" });
  const pdskid = await register({ local_path: "/dev/twin-2" });
  const disk = { ssvrid, local_path: "/dev/twin-2", capacity: sectors(4), serial: "twin", pdskid };
  await expectRefused(cluster(), method, disk, "EEXIST");
});

test("registerPhysicalDisk makes a disk that is OFFLINE HIGH, once its server is up", async () => {
  const disk = { local_path: "/dev/back" };
  const pdskid = await register(disk);
  await servers.fail(ssvrid);
  expect(await register(disk)).toBe(pdskid);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.OFFLINE });
  await servers.register(ip_data);
  expect(await register(disk)).toBe(pdskid);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.HIGH });
  await expectRefused(cluster(), method, { ssvrid, ...disk, capacity: sectors(4) }, "EEXIST");
});

test("registerPhysicalDisk refuses a disk that has shrunk, and adds the space of one that has grown", async () => {
  const disk = { ssvrid, local_path: "/dev/sized" };
  const pdskid = await register({ ...disk, capacity: sectors(4) });
  await takeDisksOffline();
  await expectRefusals(cluster(), method, [
    [{ ...disk, capacity: sectors(3) }, "EINVAL", "capacity"],
    [{ ...disk, capacity: String(4 * UNIT) }, "EINVAL", "capacity"],
  ]);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.OFFLINE });
  for (const [capacity, gigabytes] of [
    [sectors(4), 4],
    [String(5 * UNIT), 4],
    [sectors(7), 7],
  ] as const) {
    expect(await register({ ...disk, capacity, pdskid })).toBe(pdskid);
    const space = { capacity: gigabytes, unshredded: gigabytes, available: 0 };
    expect(await find(pdskid)).toMatchObject({ ...space, priority: Priority.HIGH });
  }
});

test("registerPhysicalDisk makes a disk that is HALT HIGH, and LOW if it has bad blocks", async () => {
  const good = await register({ local_path: "/dev/halt-good" });
  const bad = await register({ local_path: "/dev/halt-bad" });
  await cluster().api("notifyBadBlocks", { pdskid: bad, blocks: [3] });
  await cluster().api("shutdownAll", {});
  await servers.register(ip_data);
  for (const [pdskid, local_path, priority] of [
    [good, "/dev/halt-good", Priority.HIGH],
    [bad, "/dev/halt-bad", Priority.LOW],
  ] as const) {
    expect(await find(pdskid)).toMatchObject({ priority: Priority.HALT });
    expect(await register({ local_path })).toBe(pdskid);
    expect(await find(pdskid)).toMatchObject({ priority });
    await expectRefused(cluster(), method, { ssvrid, local_path, capacity: sectors(4) }, "EEXIST");
  }
});

test("registerPhysicalDisk gives out the last id of each kind, and then answers ENOSPC and changes nothing", async () => {
  await setNextIds(cluster(), { pdsk: MAX_ID - 1, lvol: MAX_ID });
  expect(await register({ local_path: "/dev/last-space" })).toBe(MAX_ID - 1);
  for (const next of [
    { pdsk: MAX_ID, lvol: MAX_ID + 1 },
    { pdsk: MAX_ID + 1, lvol: MAX_ID - 1 },
  ]) {
    await setNextIds(cluster(), next);
    const disk = { ssvrid, local_path: "/dev/none-left", capacity: sectors(4) };
    await expectRefused(cluster(), method, disk, "ENOSPC");
    expect(readNextIds(cluster())).toMatchObject(next);
  }
  await setNextIds(cluster(), { pdsk: MAX_ID, lvol: MAX_ID + 1 });
  // A known disk needs none, unless it has grown.
  const grown = { ssvrid, local_path: "/dev/last-space", pdskid: MAX_ID - 1, capacity: sectors(5) };
  await expectRefused(cluster(), method, grown, "ENOSPC");
  expect(await register({ ...grown, capacity: sectors(4) })).toBe(MAX_ID - 1);
});
