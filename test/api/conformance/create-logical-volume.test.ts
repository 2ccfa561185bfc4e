import { expect, test } from "vitest";
import { MAX_ID } from "../../../shared/ids.js";
import { MemberStatus } from "../../../shared/states.js";
import { membersOf, mirrorsOf } from "../../harness/cluster.js";
import { readNextIds, setNextIds } from "../../harness/manager-database.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals, expectRefused } from "./refusals.js";
import { createSmall, createSnapshotOf, infoOf, patient, unbound } from "./volumes.js";

const DISK_GB = 60;
const cluster = shareCluster({ storageServers: 3, headServers: 0, diskGb: DISK_GB, manager: patient });
const method = "createLogicalVolume";

const remove = (lvolid: number) => cluster().api("deleteLogicalVolume", { lvolid });

/** GB that are free on each disk, and those that wait for a shred. */
async function space(): Promise<{ available: number; unshredded: number }[]> {
  const disks = await cluster().api("listPhysicalDisks", {});
  return disks.map(({ available, unshredded }) => ({ available, unshredded }));
}

test("createLogicalVolume makes a volume of three copies that is attached nowhere", async () => {
  const before = Date.now();
  const lvolid = await cluster().api(method, { lvolname: "plain", capacity: 2 });
  const { ctime, ...info } = await infoOf(cluster(), lvolid);
  expect(info).toEqual({
    ...unbound,
    lvolid,
    lvolname: "plain",
    redundancy: 3,
    capacity: 2,
    associated_to: [],
    associated_from: [],
    fault: false,
    bind_error: "",
    snapshot_status: "",
  });
  expect(Date.parse(`${ctime}Z`)).toBeGreaterThanOrEqual(Math.floor(before / 1000) * 1000);
  expect(Date.parse(`${ctime}Z`)).toBeLessThanOrEqual(Date.now());
});

test.each([2, 3])("createLogicalVolume puts %i copies on as many servers, ALLOCATED", async (redundancy) => {
  const lvolid = await cluster().api(method, { lvolname: `copies-${redundancy}`, capacity: 12, redundancy });
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ redundancy });
  const tree = await cluster().api("showLogicalVolume", { lvolid });
  expect(membersOf(tree).every((extent) => extent.mirror_status === MemberStatus.ALLOCATED)).toBe(true);
  expect(mirrorsOf(tree).reduce((sum, mirror) => sum + mirror.capacity, 0)).toBe(12);
  for (const { components } of mirrorsOf(tree)) {
    expect(new Set(components.map((extent) => extent.lvolspec.ssvrid)).size).toBe(redundancy);
  }
  await remove(lvolid);
});

test("createLogicalVolume gives rising ids, and none of them again", async () => {
  const one = await createSmall(cluster(), "first");
  await remove(one.lvolid);
  const two = await createSmall(cluster(), "first");
  expect(two.lvolid).toBeGreaterThan(one.lvolid);
  await expectRefused(cluster(), "showLogicalVolume", { lvolid: one.lvolid }, "ENOENT");
});

test.each([
  "a",
  "x".repeat(64),
  "A.b-c_9",
  "...",
  "-",
  "_",
  ".a",
  "lvol-",
  "lvol-xyz",
  "lvol-1g",
  "lvol",
  "0",
])("createLogicalVolume takes the name %s", async (lvolname) => {
  const { lvolid } = await createSmall(cluster(), lvolname);
  expect(await cluster().api("listLogicalVolumes", { lvolname })).toMatchObject([{ lvolid, lvolname }]);
  await remove(lvolid);
});

test("createLogicalVolume refuses what can't be a name with EINVAL", async () => {
  const odd = ["a/b", "a b", "größe", "a\n", "a\\b", "a:b", "'", "💾", " a", "a*"];
  const reserved = [".", "..", "lvol-1", "lvol-0000000a", "lvol-ABCDEF", "LVOL-0000000a"];
  const wrong = [undefined, "", "x".repeat(65), ...odd, ...reserved, 5, true, ["a"], { a: "a" }];
  await expectRefusals(
    cluster(),
    method,
    wrong.map((lvolname) => [{ lvolname, capacity: 1 }, "EINVAL", "lvolname"] as const),
  );
});

test("createLogicalVolume answers EEXIST for the name of a volume or snapshot, until that is deleted", async () => {
  const origin = await createSmall(cluster(), "taken");
  const snapshot = await createSnapshotOf(cluster(), origin, "taken-too");
  await expectRefusals(cluster(), method, [
    [{ lvolname: "taken", capacity: 1 }, "EEXIST", "taken"],
    [{ lvolname: "taken", capacity: 7, redundancy: 2 }, "EEXIST", "taken"],
    [{ lvolname: "taken-too", capacity: 1 }, "EEXIST", "taken-too"],
  ]);
  // Names differ by their case too.
  const other = await createSmall(cluster(), "Taken");
  for (const lvolid of [snapshot, origin.lvolid, other.lvolid]) await remove(lvolid);
  for (const lvolname of ["taken", "taken-too"])
    await remove((await createSmall(cluster(), lvolname)).lvolid);
});

test("createLogicalVolume refuses a capacity out of 1 to 1048576 and a redundancy out of 2 to 9 with EINVAL", async () => {
  const volume = { lvolname: "bounds", capacity: 1 };
  await expectRefusals(cluster(), method, [
    ...[undefined, 0, -1, 1_048_577, 2 ** 31, 2 ** 40].map(
      (capacity) => [{ ...volume, capacity }, "EINVAL", "capacity"] as const,
    ),
    ...[-2, 0, 1, 10, 2 ** 31].map(
      (redundancy) => [{ ...volume, redundancy }, "EINVAL", "redundancy"] as const,
    ),
  ]);
});

test("createLogicalVolume takes capacity and redundancy in every form of a whole number", async () => {
  for (const [member, value, rest] of [
    ["capacity", 3, { redundancy: 2 }],
    ["redundancy", 2, { capacity: 3 }],
  ] as const) {
    const others = (call: number) => ({ lvolname: `forms-${call}`, ...rest });
    for (const answer of await expectNumberForms(cluster(), { method, member, value, others })) {
      const lvolid = Number(answer);
      expect(await infoOf(cluster(), lvolid)).toMatchObject({ capacity: 3, redundancy: 2 });
      await remove(lvolid);
    }
  }
});

test("createLogicalVolume ignores members that it does not know", async () => {
  const params = { ver: 5, lvolname: "more", capacity: 1, redundancy: 2, hsvrid: "x", lvolid: 1, ctime: [] };
  await remove(Number(await cluster().raw(method, params)));
});

test("createLogicalVolume answers ENOSPC for more copies than there are servers, and more GB than there are", async () => {
  const volume = { lvolname: "large", capacity: 1 };
  await expectRefusals(cluster(), method, [
    [{ ...volume, redundancy: 4 }, "ENOSPC", "storage server"],
    [{ ...volume, redundancy: 9 }, "ENOSPC", "storage server"],
    [{ ...volume, capacity: DISK_GB + 1 }, "ENOSPC", "GB"],
    [{ ...volume, capacity: 1_048_576, redundancy: 2 }, "ENOSPC", "GB"],
  ]);
});

test("createLogicalVolume gives all the space there is, and space that was never attached comes back at once", async () => {
  const before = await space();
  const capacity = Math.min(...before.map(({ available }) => available));
  const lvolid = await cluster().api(method, { lvolname: "all", capacity });
  await expectRefused(cluster(), method, { lvolname: "one-more", capacity: 1 }, "ENOSPC");
  await remove(lvolid);
  expect(await space()).toEqual(before);
  expect(before.every(({ unshredded }) => unshredded === 0)).toBe(true);
  await remove(await cluster().api(method, { lvolname: "all", capacity }));
});

test("createLogicalVolume gives out the last ids, and then answers ENOSPC and changes nothing", async () => {
  // A volume, its linear, a mirror and its two extents.
  const ids = 5;
  const volume = { lvolname: "last", capacity: 1, redundancy: 2 };
  await setNextIds(cluster(), { lvol: MAX_ID - ids + 2 });
  const before = { next: readNextIds(cluster()), space: await space() };
  await expectRefusals(cluster(), method, [[volume, "ENOSPC", "id"]]);
  expect({ next: readNextIds(cluster()), space: await space() }).toEqual(before);

  await setNextIds(cluster(), { lvol: MAX_ID - ids + 1 });
  const lvolid = await cluster().api(method, volume);
  const used = membersOf(await cluster().api("showLogicalVolume", { lvolid })).map((extent) => extent.lvolid);
  expect(Math.max(lvolid, ...used)).toBe(MAX_ID);
  await expectRefusals(cluster(), method, [[{ ...volume, lvolname: "later" }, "ENOSPC", "id"]]);
  expect(readNextIds(cluster())).toMatchObject({ lvol: MAX_ID + 1 });
});
