import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MAX_ID } from "../../../shared/ids.js";
import { GIB, MIB } from "../../../shared/units.js";
import { readNextIds, setNextIds } from "../../harness/manager-database.js";
import { randomData } from "../../harness/random-data.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { firstMismatch, openVolume } from "../../harness/volume-io.js";
import { attach } from "../../harness/volumes.js";
import { namesOfNone, waysToName } from "./naming.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals, expectRefused } from "./refusals.js";
import {
  bound,
  createSmall,
  createSmallAttached,
  createSnapshotOf,
  expectBinding,
  failToAttach,
  headOf,
  infoOf,
  patient,
  unbound,
  whileHeld,
} from "./volumes.js";

const manager = { ...patient, shred_slice_gb: 1024 };
const cluster = shareCluster({ storageServers: 2, headServers: 1, diskGb: 2100, gate: true, manager });
const method = "createSnapshot";

const remove = (lvolid: number) => cluster().api("deleteLogicalVolume", { lvolid });

test("createSnapshot takes its origin by id or by name, and the id if both are given", async () => {
  const origin = await createSmall(cluster(), "named");
  const other = await createSmall(cluster(), "other");
  for (const [index, [way, members]] of waysToName(origin, other.lvolname, "origin_").entries()) {
    const lvolid = await cluster().api(method, { ...members, snapshot_lvolname: `named-${index}` });
    expect(await infoOf(cluster(), lvolid), way).toMatchObject({
      associated_to: [{ lvolid: origin.lvolid, type: "snapshot" }],
    });
  }
  const snapshot = { snapshot_lvolname: "none" };
  await expectRefusals(cluster(), method, namesOfNone("named", snapshot, "origin_"));
});

test("createSnapshot takes origin_lvolid in every form of a whole number", async () => {
  const { lvolid: value } = await createSmall(cluster(), "forms");
  const others = (call: number) => ({ snapshot_lvolname: `forms-${call}` });
  const ids = await expectNumberForms(cluster(), { method, member: "origin_lvolid", value, others });
  expect((await infoOf(cluster(), value)).associated_from.map(({ lvolid }) => lvolid)).toEqual(ids);
});

test("createSnapshot of a detached volume is VALID at once, with as many copies, and follows its origin", async () => {
  const origin = await createSmall(cluster(), "detached");
  const lvolid = await createSnapshotOf(cluster(), origin, "detached-s");
  const { ctime, ...info } = await infoOf(cluster(), lvolid);
  expect(ctime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  expect(info).toEqual({
    ...unbound,
    lvolid,
    lvolname: "detached-s",
    redundancy: 2,
    capacity: 2,
    associated_to: [{ lvolid: origin.lvolid, type: "snapshot" }],
    associated_from: [],
    fault: false,
    bind_error: "",
    snapshot_status: "VALID",
  });
  await attach(cluster(), origin.lvolid, headOf(cluster()));
  const hsvrid = await cluster().headServerId(headOf(cluster()));
  await expectBinding(cluster(), lvolid, { ...bound, hsvrid });
  expect((await openVolume(headOf(cluster()), "detached-s")).size).toBe(GIB);
});

test("createSnapshot of an attached volume keeps the content of its instant", async () => {
  const origin = await createSmallAttached(cluster(), "attached");
  const client = await openVolume(headOf(cluster()), "attached");
  const data = randomData("before", MIB);
  await client.write(0, data);
  const lvolid = await createSnapshotOf(cluster(), origin, "attached-s");
  await client.write(0, randomData("after", MIB));
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ ...bound, snapshot_status: "VALID" });
  const reader = await openVolume(headOf(cluster()), "attached-s");
  expect(await firstMismatch(reader, 0, data)).toBeUndefined();
});

test.each([
  [1, 2],
  [10, 11],
  [100, 101],
  [1000, 1001],
  [1023, 1024],
  [1024, 1026],
])("createSnapshot of %i GB has %i GB of copy-on-write space", async (capacity, expected) => {
  const lvolname = `size-${capacity}`;
  const lvolid = await cluster().api("createLogicalVolume", { lvolname, capacity, redundancy: 2 });
  const snapshot = await createSnapshotOf(cluster(), { lvolid, lvolname }, `${lvolname}-s`);
  expect(await infoOf(cluster(), snapshot)).toMatchObject({ capacity: expected });
  for (const id of [snapshot, lvolid]) await remove(id);
});

test("createSnapshot refuses a snapshot's snapshot, and what can't be a name, with EINVAL", async () => {
  const origin = await createSmall(cluster(), "parent");
  const snapshot = await createSnapshotOf(cluster(), origin, "parent-s");
  const wrong = [undefined, "", "x".repeat(65), "a/b", "größe", ".", "..", "lvol-0000000a", 5];
  await expectRefusals(cluster(), method, [
    [{ origin_lvolid: snapshot, snapshot_lvolname: "child" }, "EINVAL", "snapshot"],
    [{ origin_lvolname: "parent-s", snapshot_lvolname: "child" }, "EINVAL", "snapshot"],
    ...wrong.map(
      (snapshot_lvolname) =>
        [{ origin_lvolname: "parent", snapshot_lvolname }, "EINVAL", "snapshot_lvolname"] as const,
    ),
  ]);
});

test("createSnapshot answers EEXIST for the name of a volume, of its origin, or of a snapshot", async () => {
  const origin = await createSmall(cluster(), "double");
  await createSnapshotOf(cluster(), origin, "double-s");
  const other = await createSmall(cluster(), "double-2");
  const names = ["double", "double-s", other.lvolname];
  const { lvolid: origin_lvolid } = origin;
  await expectRefusals(
    cluster(),
    method,
    names.map((name) => [{ origin_lvolid, snapshot_lvolname: name }, "EEXIST", name] as const),
  );
});

test("createSnapshot answers ENOSPC where there is no room for it", async () => {
  const lvolid = await cluster().api("createLogicalVolume", {
    lvolname: "wide",
    capacity: 1100,
    redundancy: 2,
  });
  await expectRefusals(cluster(), method, [
    [{ origin_lvolid: lvolid, snapshot_lvolname: "wide-s" }, "ENOSPC", "GB"],
  ]);
  await remove(lvolid);
});

test("createSnapshot answers EAGAIN while its origin is being attached or detached, and after a failed attach", async () => {
  const origin = await createSmall(cluster(), "moving");
  const params = { origin_lvolid: origin.lvolid, snapshot_lvolname: "moving-s" };
  const refused = () => expectRefused(cluster(), method, params, "EAGAIN");
  const { lvolid } = origin;
  const binding = () => attach(cluster(), lvolid, headOf(cluster()));
  await whileHeld(cluster(), { method: "attachLogicalVolume" }, binding, refused);
  const unbinding = () => cluster().api("detachLogicalVolume", { lvolid });
  await whileHeld(cluster(), { method: "detachLogicalVolume" }, unbinding, refused);
  await failToAttach(cluster(), origin);
  await refused();
  await unbinding();
  await cluster().api(method, params);
});

test("createSnapshot is CREATING while the head takes it, and its origin can't be detached then", async () => {
  const origin = await createSmallAttached(cluster(), "slow");
  const call = () => createSnapshotOf(cluster(), origin, "slow-s");
  const lvolid = await whileHeld(cluster(), { method: "createSnapshot" }, call, async () => {
    const [info] = await cluster().api("listLogicalVolumes", { lvolname: "slow-s" });
    expect(info).toMatchObject({ snapshot_status: "CREATING" });
    const params = { origin_lvolid: origin.lvolid, snapshot_lvolname: "slow-s" };
    await expectRefused(cluster(), method, params, "EEXIST");
    await expectRefused(cluster(), "detachLogicalVolume", { lvolname: "slow" }, "EAGAIN");
    await expectRefused(cluster(), "deleteLogicalVolume", { lvolname: "slow-s" }, "EBUSY");
    await expectRefused(cluster(), "deleteLogicalVolume", { lvolname: "slow" }, "EBUSY");
  });
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ snapshot_status: "VALID" });
});

test("createSnapshot answers EIO if the head can't take it, and there is none then", async () => {
  const origin = await createSmallAttached(cluster(), "stuck");
  const place = headOf(cluster()).socket("stuck-s");
  mkdirSync(join(place, "in the way"), { recursive: true });
  const params = { origin_lvolid: origin.lvolid, snapshot_lvolname: "stuck-s" };
  await expectRefused(cluster(), method, params, "EIO");
  await expectRefused(cluster(), "listLogicalVolumes", { lvolname: "stuck-s" }, "ENOENT");
  rmSync(place, { recursive: true });
  await cluster().api(method, params);
});

test("createSnapshot gives out the last ids, and then answers ENOSPC and changes nothing", async () => {
  const { lvolid: origin_lvolid } = await createSmall(cluster(), "last");
  // The snapshot, its layer and linear, two mirrors with two extents each; and the first one's origin gets a layer.
  const ids = 3 + 2 * 3 + 1;
  const params = { origin_lvolid, snapshot_lvolname: "last-s" };
  await setNextIds(cluster(), { lvol: MAX_ID - ids + 2 });
  const next = readNextIds(cluster());
  await expectRefusals(cluster(), method, [[params, "ENOSPC", "id"]]);
  expect(readNextIds(cluster())).toEqual(next);
  await setNextIds(cluster(), { lvol: MAX_ID - ids + 1 });
  await cluster().api(method, params);
  expect(readNextIds(cluster())).toMatchObject({ lvol: MAX_ID + 1 });
  await expectRefusals(cluster(), method, [[{ ...params, snapshot_lvolname: "later" }, "ENOSPC", "id"]]);
});
