import { expect, test } from "vitest";
import { BindEvent, BindStatus } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { openVolume } from "../../harness/volume-io.js";
import { attach, serverOfFirstMirror } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { namesOfStrangers, waysToName } from "./naming.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals } from "./refusals.js";
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

const cluster = shareCluster({
  storageServers: 3,
  headServers: 2,
  diskGb: 40,
  gate: true,
  manager: patient,
});
const method = "listLogicalVolumes";

const names = async () => (await cluster().api(method, {})).map(({ lvolname }) => lvolname);
const detach = (lvolid: number) => cluster().api("detachLogicalVolume", { lvolid });

test("listLogicalVolumes lists nothing where there is no volume, and refuses to tell of one", async () => {
  expect(await cluster().api(method, {})).toEqual([]);
  expect(await cluster().api(method, { lvolid: 0 })).toEqual([]);
  await expectRefusals(cluster(), method, namesOfStrangers("ghost"));
});

test("listLogicalVolumes lists all volumes and snapshots by id, if none is named", async () => {
  const [z, a] = [await createSmall(cluster(), "z"), await createSmall(cluster(), "a")];
  await createSnapshotOf(cluster(), z, "m");
  await createSmall(cluster(), "b");
  for (const params of [{}, { lvolid: 0 }]) {
    const ids = (await cluster().api(method, params)).map(({ lvolid }) => lvolid);
    expect(ids).toEqual(ids.toSorted((one, other) => one - other));
  }
  expect(await names()).toEqual(["z", "a", "m", "b"]);
  await cluster().api("deleteLogicalVolume", { lvolid: a.lvolid });
  await createSmall(cluster(), "a");
  expect(await names()).toEqual(["z", "m", "b", "a"]);
});

test("listLogicalVolumes tells of one volume by id or by name, and takes the id if both are given", async () => {
  const volume = await createSmall(cluster(), "named");
  const other = await createSmall(cluster(), "other");
  for (const [way, members] of waysToName(volume, other.lvolname))
    expect(await cluster().api(method, members), way).toMatchObject([volume]);
  await expectRefusals(cluster(), method, namesOfStrangers("other"));
});

test("listLogicalVolumes takes lvolid in every form of a whole number", async () => {
  const volume = await createSmall(cluster(), "forms");
  const { lvolid: value } = volume;
  for (const answer of await expectNumberForms(cluster(), {
    method,
    member: "lvolid",
    value,
    others: () => ({}),
  }))
    expect(answer).toMatchObject([volume]);
});

test("listLogicalVolumes tells when a volume was created, in 19 characters, UTC", async () => {
  const from = Math.floor(Date.now() / 1000);
  const { lvolid } = await createSmall(cluster(), "timed");
  const { ctime } = await infoOf(cluster(), lvolid);
  expect(ctime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  const seconds = Date.parse(`${ctime}Z`) / 1000;
  expect(seconds).toBeGreaterThanOrEqual(from);
  expect(seconds).toBeLessThanOrEqual(Date.now() / 1000);
  await attach(cluster(), lvolid, headOf(cluster()));
  expect((await infoOf(cluster(), lvolid)).ctime).toBe(ctime);
});

test("listLogicalVolumes tells where a volume is attached, or on its way to or from, and its snapshots with it", async () => {
  const origin = await createSmall(cluster(), "bound");
  const snapshot = await createSnapshotOf(cluster(), origin, "bound-s");
  const head = headOf(cluster(), 2);
  const hsvrid = await cluster().headServerId(head);
  const expectBoth = async (binding: object): Promise<void> => {
    for (const lvolid of [origin.lvolid, snapshot]) await expectBinding(cluster(), lvolid, binding);
  };
  await expectBoth(unbound);
  await whileHeld(
    cluster(),
    { method: "attachLogicalVolume" },
    () => attach(cluster(), origin.lvolid, head),
    () => expectBoth({ bind_status: BindStatus.UNBOUND, bind_event: BindEvent.BINDING, hsvrid }),
  );
  await expectBoth({ ...bound, hsvrid });
  await whileHeld(
    cluster(),
    { method: "detachLogicalVolume" },
    () => detach(origin.lvolid),
    () => expectBoth({ bind_status: BindStatus.BOUND, bind_event: BindEvent.UNBINDING, hsvrid }),
  );
  await expectBoth(unbound);
});

test("listLogicalVolumes shows ERROR after a failed attach, and why, until a detach", async () => {
  const volume = await createSmall(cluster(), "error");
  const { sentence } = await failToAttach(cluster(), volume);
  const hsvrid = await cluster().headServerId(headOf(cluster()));
  const binding = { bind_status: BindStatus.ERROR, bind_event: BindEvent.NONE, hsvrid };
  expect(await infoOf(cluster(), volume.lvolid)).toMatchObject({ ...binding, bind_error: sentence });
  await detach(volume.lvolid);
  expect(await infoOf(cluster(), volume.lvolid)).toMatchObject({ ...unbound, bind_error: "" });
});

test("listLogicalVolumes tells of which volume a snapshot is, and which snapshots a volume has, by id", async () => {
  const origin = await createSmall(cluster(), "origin");
  expect(await infoOf(cluster(), origin.lvolid)).toMatchObject({ associated_to: [], associated_from: [] });
  const snapshots = [];
  for (const name of ["origin-z", "origin-a"])
    snapshots.push(await createSnapshotOf(cluster(), origin, name));
  const type = "snapshot";
  expect(await infoOf(cluster(), origin.lvolid)).toMatchObject({
    associated_to: [],
    associated_from: snapshots.map((lvolid) => ({ lvolid, type })),
    snapshot_status: "",
    capacity: 1,
  });
  for (const lvolid of snapshots) {
    expect(await infoOf(cluster(), lvolid)).toMatchObject({
      associated_to: [{ lvolid: origin.lvolid, type }],
      associated_from: [],
      snapshot_status: "VALID",
      capacity: 2,
      redundancy: 2,
    });
  }
});

test("listLogicalVolumes shows a snapshot that is being deleted only to who names it", async () => {
  const origin = await createSmallAttached(cluster(), "live");
  const lvolid = await createSnapshotOf(cluster(), origin, "live-s");
  const remove = () => cluster().api("deleteLogicalVolume", { lvolid });
  await whileHeld(cluster(), { method: "deleteSnapshot" }, remove, async () => {
    for (const params of [{}, { lvolid: 0 }])
      expect((await cluster().api(method, params)).map((info) => info.lvolid)).not.toContain(lvolid);
    for (const params of [{ lvolid }, { lvolname: "live-s" }])
      expect(await cluster().api(method, params)).toMatchObject([{ lvolid, snapshot_status: "DELETING" }]);
    expect(await infoOf(cluster(), origin.lvolid)).toMatchObject({ associated_from: [] });
  });
});

test("listLogicalVolumes shows a fault while a copy of the volume is not good", async () => {
  const { lvolid } = await createSmall(cluster(), "faulty");
  const fault = async () => (await infoOf(cluster(), lvolid)).fault;
  expect(await fault(), "ALLOCATED").toBe(false);
  await attach(cluster(), lvolid, headOf(cluster()));
  expect(await fault(), "INSYNC").toBe(false);
  const { server } = await serverOfFirstMirror(cluster(), lvolid);
  const client = await openVolume(headOf(cluster()), "faulty");
  await server.kill();
  await client.write(0, Buffer.alloc(4096, 1));
  expect(await fault(), "a write was missed").toBe(true);
  server.up();
  await waitUntil("it has caught up", async () => !(await fault()));
});

test("listLogicalVolumes shows a snapshot whose content is lost as INVALID, with a fault, until it is deleted", async () => {
  const origin = await createSmallAttached(cluster(), "survivor");
  const lvolid = await createSnapshotOf(cluster(), origin, "lost");
  const loss = { lvolid: origin.lvolid, epoch: 1, snapshot_lvolid: lvolid, reason: "a test says so" };
  await cluster().api("reportSnapshotFailure", loss);
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ snapshot_status: "INVALID", fault: true });
  expect(await infoOf(cluster(), origin.lvolid)).toMatchObject({ ...bound, fault: false });
  await cluster().api("deleteLogicalVolume", { lvolid });
  await expectRefusals(cluster(), method, [[{ lvolid }, "ENOENT", "volume"]]);
});
