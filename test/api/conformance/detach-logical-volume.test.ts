import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { BindEvent, BindStatus, FailureTarget, MemberStatus } from "../../../shared/states.js";
import { membersOf } from "../../harness/cluster.js";
import { faultOf } from "../../harness/fault-of.js";
import { shareCluster } from "../../harness/share-cluster.js";
import type { TestServer } from "../../harness/test-server.js";
import { expectConsistent, useCluster } from "../../harness/use-cluster.js";
import { openVolume } from "../../harness/volume-io.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
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

const cluster = shareCluster({
  storageServers: 2,
  headServers: 2,
  diskGb: 40,
  gate: true,
  manager: patient,
});
const method = "detachLogicalVolume";

const detach = (lvolid: number) => cluster().api(method, { lvolid });

test("detachLogicalVolume takes its volume by id or by name, and the id if both are given", async () => {
  const volume = await createSmall(cluster(), "named");
  const other = await createSmallAttached(cluster(), "other");
  for (const [way, members] of waysToName(volume, other.lvolname)) {
    await attach(cluster(), volume.lvolid, headOf(cluster()));
    expect(await cluster().api(method, members), way).toBe(0);
    await expectBinding(cluster(), volume.lvolid, unbound);
    await expectBinding(cluster(), other.lvolid, bound);
  }
  await expectRefusals(cluster(), method, namesOfNone("other"));
});

test("detachLogicalVolume answers 0 for a volume that is not attached, in every form of its id", async () => {
  const { lvolid: value } = await createSmall(cluster(), "idle");
  const answers = await expectNumberForms(cluster(), { method, member: "lvolid", value, others: () => ({}) });
  expect(new Set(answers)).toEqual(new Set([0]));
  await expectBinding(cluster(), value, unbound);
});

test("detachLogicalVolume takes the volume and its snapshots from the head, and they can be attached again", async () => {
  const origin = await createSmallAttached(cluster(), "family");
  const lvolid = await createSnapshotOf(cluster(), origin, "family-s");
  const head = headOf(cluster());
  const served = head.dataPathPids().length;
  expect(await detach(origin.lvolid)).toBe(0);
  for (const id of [origin.lvolid, lvolid]) await expectBinding(cluster(), id, unbound);
  expect(head.dataPathPids()).toHaveLength(served - 1);
  for (const name of ["family", "family-s"]) expect(existsSync(head.socket(name))).toBe(false);
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ snapshot_status: "VALID" });
  await attach(cluster(), origin.lvolid, head);
  for (const name of ["family", "family-s"]) await openVolume(head, name);
});

test("detachLogicalVolume refuses a snapshot by itself with EINVAL, attached or not", async () => {
  const origin = await createSmall(cluster(), "origin");
  const lvolid = await createSnapshotOf(cluster(), origin, "origin-s");
  const rows = [
    [{ lvolid }, "EINVAL", "snapshot"],
    [{ lvolname: "origin-s" }, "EINVAL", "snapshot"],
  ] as const;
  await expectRefusals(cluster(), method, rows);
  await attach(cluster(), origin.lvolid, headOf(cluster()));
  await expectRefusals(cluster(), method, rows);
});

test("detachLogicalVolume answers EBUSY while a client has the device open, and the volume stays BOUND", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "open");
  const client = await openVolume(headOf(cluster()), "open");
  const refusal = await faultOf(detach(lvolid));
  expect(refusal.errno).toBe("EBUSY");
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ ...bound, bind_error: refusal.sentence });
  await client.write(0, Buffer.alloc(4096, 1));
  await client.close();
  await waitUntil("it is not in use any more", async () => (await detach(lvolid)) === 0);
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ ...unbound, bind_error: "" });
});

test("detachLogicalVolume answers EBUSY while a client has a snapshot open, and all stay BOUND", async () => {
  const origin = await createSmallAttached(cluster(), "read");
  const snapshot = await createSnapshotOf(cluster(), origin, "read-s");
  const client = await openVolume(headOf(cluster()), "read-s");
  expect((await faultOf(detach(origin.lvolid))).errno).toBe("EBUSY");
  for (const lvolid of [origin.lvolid, snapshot]) await expectBinding(cluster(), lvolid, bound);
  await client.read(0, 4096);
  await client.close();
  await waitUntil("it is not in use any more", async () => (await detach(origin.lvolid)) === 0);
});

test("detachLogicalVolume answers EAGAIN while the volume is being attached or detached", async () => {
  const { lvolid } = await createSmall(cluster(), "moving");
  const refused = async (bind_event: number): Promise<void> => {
    await expectBinding(cluster(), lvolid, { bind_event });
    await expectRefused(cluster(), method, { lvolid }, "EAGAIN");
  };
  await whileHeld(
    cluster(),
    { method: "attachLogicalVolume" },
    () => attach(cluster(), lvolid, headOf(cluster())),
    () => refused(BindEvent.BINDING),
  );
  const call = () => detach(lvolid);
  expect(await whileHeld(cluster(), { method }, call, () => refused(BindEvent.UNBINDING))).toBe(0);
});

test("detachLogicalVolume answers EAGAIN while a snapshot of the volume is being created or deleted", async () => {
  const origin = await createSmallAttached(cluster(), "busy");
  const check = () => expectRefused(cluster(), method, { lvolname: "busy" }, "EAGAIN");
  const create = () => createSnapshotOf(cluster(), origin, "busy-s");
  const lvolid = await whileHeld(cluster(), { method: "createSnapshot" }, create, check);
  const remove = () => cluster().api("deleteLogicalVolume", { lvolid });
  await whileHeld(cluster(), { method: "deleteSnapshot" }, remove, check);
  expect(await detach(origin.lvolid)).toBe(0);
});

test("detachLogicalVolume clears the ERROR of a failed attach", async () => {
  const volume = await createSmall(cluster(), "error");
  await failToAttach(cluster(), volume);
  await expectBinding(cluster(), volume.lvolid, { bind_status: BindStatus.ERROR });
  await whileHeld(
    cluster(),
    { method },
    () => detach(volume.lvolid),
    () =>
      expectBinding(cluster(), volume.lvolid, {
        bind_status: BindStatus.ERROR,
        bind_event: BindEvent.UNBINDING,
      }),
  );
  expect(await infoOf(cluster(), volume.lvolid)).toMatchObject({ ...unbound, bind_error: "" });
});

test("detachLogicalVolume answers EHOSTDOWN if the head is lost meanwhile, and the volume is taken from it", async () => {
  const head = headOf(cluster(), 2);
  const { lvolid } = await createSmall(cluster(), "lost");
  await attach(cluster(), lvolid, head);
  const targetid = await cluster().headServerId(head);
  const call = () => faultOf(detach(lvolid));
  const refusal = await whileHeld(cluster(), { method }, call, async () => {
    await cluster().api("notifyFailure", { target: FailureTarget.HSVR, targetid });
    await waitUntil("it is fenced", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
  });
  expect(refusal.errno).toBe("EHOSTDOWN");
  await expectBinding(cluster(), lvolid, unbound);
  expect(await detach(lvolid)).toBe(0);
});

test("detachLogicalVolume does not need the storage servers, and answers EHOSTDOWN if the head is away", async () => {
  const own = await useCluster({ storageServers: 2, diskGb: 4, manager: { ...patient, agent_timeout: 10 } });
  const head = headOf(own);
  const { lvolid } = await createSmallAttached(own, "data");
  await head.killControl();
  const refusal = await faultOf(own.api(method, { lvolid }));
  expect(refusal.errno).toBe("EHOSTDOWN");
  expect(await infoOf(own, lvolid)).toMatchObject({ ...bound, bind_error: refusal.sentence });
  const client = await openVolume(head, "data");
  await client.write(0, Buffer.alloc(4096, 1));
  await client.close();

  head.up();
  await head.waitUntilAnswers();
  await (own.storage[0] as TestServer).kill();
  await waitUntil("it is detached", async () => (await own.api(method, { lvolid })) === 0);
  await expectBinding(own, lvolid, unbound);
  const members = membersOf(await own.api("showLogicalVolume", { lvolid }));
  expect(members.map((extent) => extent.mirror_status)).toContain(MemberStatus.INSYNC);
  await expectConsistent(own);
});

test("detachLogicalVolume answers ETIMEDOUT if the head does not end within detach_timeout, and the volume stays BOUND", async () => {
  const manager = { ...patient, detach_timeout: 2 };
  const own = await useCluster({ storageServers: 2, diskGb: 4, manager });
  const head = headOf(own);
  const { lvolid } = await createSmallAttached(own, "data");
  const [pid = 0] = head.dataPathPids();
  process.kill(pid, "SIGSTOP");
  try {
    const refusal = await faultOf(own.api(method, { lvolid }));
    expect(refusal.errno).toBe("ETIMEDOUT");
    expect(await infoOf(own, lvolid)).toMatchObject({ ...bound, bind_error: refusal.sentence });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await waitUntil("it is detached", async () => (await own.api(method, { lvolid })) === 0);
  await expectBinding(own, lvolid, unbound);
  await expectConsistent(own);
});
