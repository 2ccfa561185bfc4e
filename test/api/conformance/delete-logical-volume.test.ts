import { expect, test } from "vitest";
import { FailureTarget } from "../../../shared/states.js";
import { faultOf } from "../../harness/fault-of.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { expectConsistent, useCluster } from "../../harness/use-cluster.js";
import { openVolume } from "../../harness/volume-io.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { namesOfNone, waysToName } from "./naming.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals, expectRefused } from "./refusals.js";
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

const cluster = shareCluster({
  storageServers: 2,
  headServers: 2,
  diskGb: 40,
  gate: true,
  manager: patient,
});
const method = "deleteLogicalVolume";

const remove = (lvolid: number) => cluster().api(method, { lvolid });
const refused = (lvolname: string) => expectRefused(cluster(), method, { lvolname }, "EBUSY");

/** GB that are free, and GB that wait for their shred. */
async function space(): Promise<{ available: number; unshredded: number }> {
  const { available, unshredded } = (await cluster().status()).capacity;
  return { available, unshredded };
}

test("deleteLogicalVolume takes its volume by id or by name, and the id if both are given", async () => {
  const other = await createSmall(cluster(), "other");
  const ways = waysToName({ lvolid: 1, lvolname: "named" }, other.lvolname).map(([way]) => way);
  for (const [index, way] of ways.entries()) {
    const volume = await createSmall(cluster(), "named");
    const [, members = {}] = waysToName(volume, other.lvolname)[index] ?? [];
    expect(await cluster().api(method, members), way).toBe(0);
    await expectRefused(cluster(), method, { lvolid: volume.lvolid }, "ENOENT");
    expect(await infoOf(cluster(), other.lvolid), way).toMatchObject(other);
  }
  await expectRefusals(cluster(), method, namesOfNone("other"));
});

test("deleteLogicalVolume takes lvolid in every form of a whole number", async () => {
  const { lvolid: value } = await createSmall(cluster(), "forms");
  // It is there for the first form only: the others find that it is gone.
  const forms = expectNumberForms(cluster(), { method, member: "lvolid", value, others: () => ({}) });
  expect((await faultOf(forms)).errno).toBe("ENOENT");
  await expectRefused(cluster(), "showLogicalVolume", { lvolid: value }, "ENOENT");
});

test("deleteLogicalVolume gives space that was never attached back at once, and all else after its shred", async () => {
  await cluster().waitUntilUsable();
  const before = await space();
  await remove((await createSmall(cluster(), "clean")).lvolid);
  expect(await space()).toEqual(before);

  const { lvolid } = await createSmallAttached(cluster(), "written");
  await cluster().api("detachLogicalVolume", { lvolid });
  await whileHeld(
    cluster(),
    { method: "registerShredRequest" },
    () => remove(lvolid),
    async () => expect(await space()).toEqual({ available: before.available - 2, unshredded: 2 }),
  );
  await waitUntil("it is shredded", async () => (await space()).available === before.available);
});

test("deleteLogicalVolume has space shredded of a volume whose attach failed", async () => {
  await cluster().waitUntilUsable();
  const before = await space();
  const volume = await createSmall(cluster(), "failed");
  await failToAttach(cluster(), volume);
  await cluster().api("detachLogicalVolume", { lvolid: volume.lvolid });
  await whileHeld(
    cluster(),
    { method: "registerShredRequest" },
    () => remove(volume.lvolid),
    async () => expect(await space()).toEqual({ available: before.available - 2, unshredded: 2 }),
  );
});

test("deleteLogicalVolume answers EBUSY while the volume is attached, being attached or detached, or in ERROR", async () => {
  const volume = await createSmall(cluster(), "busy");
  const { lvolid } = volume;
  const check = () => refused("busy");
  await whileHeld(
    cluster(),
    { method: "attachLogicalVolume" },
    () => attach(cluster(), lvolid, headOf(cluster())),
    check,
  );
  await check();
  const detach = () => cluster().api("detachLogicalVolume", { lvolid });
  await whileHeld(cluster(), { method: "detachLogicalVolume" }, detach, check);
  await failToAttach(cluster(), volume);
  await check();
  await detach();
  expect(await remove(lvolid)).toBe(0);
});

test("deleteLogicalVolume answers EBUSY while a snapshot of the volume exists", async () => {
  const origin = await createSmall(cluster(), "origin");
  const snapshots = [];
  for (const name of ["origin-a", "origin-b"])
    snapshots.push(await createSnapshotOf(cluster(), origin, name));
  for (const lvolid of snapshots) {
    await refused("origin");
    expect(await remove(lvolid)).toBe(0);
  }
  expect(await remove(origin.lvolid)).toBe(0);
});

test("deleteLogicalVolume takes a snapshot of an attached volume from its head first", async () => {
  const origin = await createSmallAttached(cluster(), "live");
  const kept = await createSnapshotOf(cluster(), origin, "live-kept");
  const lvolid = await createSnapshotOf(cluster(), origin, "live-s");
  const call = () => remove(lvolid);
  const answer = await whileHeld(cluster(), { method: "deleteSnapshot" }, call, async () => {
    const listed = await cluster().api("listLogicalVolumes", {});
    expect(listed.map((volume) => volume.lvolid)).not.toContain(lvolid);
    expect(await infoOf(cluster(), lvolid)).toMatchObject({ snapshot_status: "DELETING" });
    const from = (await infoOf(cluster(), origin.lvolid)).associated_from;
    expect(from).toEqual([{ lvolid: kept, type: "snapshot" }]);

    const create = { lvolname: "live-s", capacity: 1, redundancy: 2 };
    await expectRefused(cluster(), "createLogicalVolume", create, "EEXIST");
    const snapshot = { origin_lvolid: origin.lvolid, snapshot_lvolname: "live-s" };
    await expectRefused(cluster(), "createSnapshot", snapshot, "EEXIST");
    await expectRefused(cluster(), "detachLogicalVolume", { lvolname: "live" }, "EAGAIN");
    await refused("live-s");
    await refused("live");
  });
  expect(answer).toBe(0);
  await expectRefused(cluster(), "listLogicalVolumes", { lvolid }, "ENOENT");
  const client = await openVolume(headOf(cluster()), "live-kept");
  await client.close();
  await expect(openVolume(headOf(cluster()), "live-s")).rejects.toThrow();
  await createSnapshotOf(cluster(), origin, "live-s");
});

test("deleteLogicalVolume answers EBUSY for a snapshot that a client uses, which then stays VALID", async () => {
  const origin = await createSmallAttached(cluster(), "used");
  const lvolid = await createSnapshotOf(cluster(), origin, "used-s");
  const client = await openVolume(headOf(cluster()), "used-s");
  await refused("used-s");
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ snapshot_status: "VALID" });
  await client.read(0, 4096);
  await client.close();
  await waitUntil("it is not in use any more", async () => (await remove(lvolid)) === 0);
});

test("deleteLogicalVolume answers EBUSY for a snapshot whose origin is being attached or detached", async () => {
  const origin = await createSmall(cluster(), "turning");
  const snapshot = await createSnapshotOf(cluster(), origin, "turning-s");
  const { lvolid } = origin;
  const check = () => refused("turning-s");
  await whileHeld(
    cluster(),
    { method: "attachLogicalVolume" },
    () => attach(cluster(), lvolid, headOf(cluster())),
    check,
  );
  await whileHeld(
    cluster(),
    { method: "detachLogicalVolume" },
    () => cluster().api("detachLogicalVolume", { lvolid }),
    check,
  );
  expect(await remove(snapshot)).toBe(0);
});

test("deleteLogicalVolume of a snapshot is done if the head is lost meanwhile", async () => {
  const head = headOf(cluster(), 2);
  const origin = await createSmall(cluster(), "bereft");
  await attach(cluster(), origin.lvolid, head);
  const lvolid = await createSnapshotOf(cluster(), origin, "bereft-s");
  const targetid = await cluster().headServerId(head);
  const answer = await whileHeld(
    cluster(),
    { method: "deleteSnapshot" },
    () => remove(lvolid),
    async () => {
      await cluster().api("notifyFailure", { target: FailureTarget.HSVR, targetid });
      await waitUntil("it is fenced", async () => (await infoOf(cluster(), origin.lvolid)).bind_event === 0);
    },
  );
  expect(answer).toBe(0);
  await expectRefused(cluster(), "listLogicalVolumes", { lvolid }, "ENOENT");
  expect(await remove(origin.lvolid)).toBe(0);
});

test("deleteLogicalVolume of a snapshot answers ETIMEDOUT while the head is away, and is done when it is back", async () => {
  const own = await useCluster({
    storageServers: 2,
    diskGb: 4,
    manager: { ...patient, detach_timeout: 5, agent_timeout: 10 },
  });
  const origin = await createSmallAttached(own, "data");
  const lvolid = await createSnapshotOf(own, origin, "data-s");
  const head = headOf(own);
  await head.killControl();
  expect((await faultOf(own.api(method, { lvolid }))).errno).toBe("ETIMEDOUT");
  expect(await own.api("listLogicalVolumes", { lvolid })).toMatchObject([{ snapshot_status: "DELETING" }]);
  head.up();
  await waitUntil("it is gone", () =>
    own.api("listLogicalVolumes", { lvolid }).then(
      () => false,
      () => true,
    ),
  );
  await expectConsistent(own);
});
