import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { BindEvent, BindStatus, FailureTarget, MemberStatus, Priority } from "../../../shared/states.js";
import { GIB } from "../../../shared/units.js";
import { membersOf } from "../../harness/cluster.js";
import { faultOf } from "../../harness/fault-of.js";
import { shareCluster } from "../../harness/share-cluster.js";
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
const method = "attachLogicalVolume";

const headId = (number = 1) => cluster().headServerId(headOf(cluster(), number));
const detach = (lvolid: number) => cluster().api("detachLogicalVolume", { lvolid });

test("attachLogicalVolume takes its volume by id or by name, and the id if both are given", async () => {
  const volume = await createSmall(cluster(), "named");
  const other = await createSmall(cluster(), "other");
  const hsvrid = await headId();
  for (const [way, members] of waysToName(volume, other.lvolname)) {
    expect(await cluster().api(method, { ...members, hsvrid }), way).toBe(0);
    await expectBinding(cluster(), volume.lvolid, { ...bound, hsvrid });
    await expectBinding(cluster(), other.lvolid, unbound);
    await detach(volume.lvolid);
  }
  await expectRefusals(cluster(), method, namesOfNone("other", { hsvrid }));
});

test("attachLogicalVolume makes the volume a device of its size on that head, and its members INSYNC", async () => {
  const { lvolid } = await createSmall(cluster(), "device");
  const hsvrid = await headId(2);
  await cluster().api(method, { lvolid, hsvrid });
  await expectBinding(cluster(), lvolid, { ...bound, hsvrid });
  expect((await openVolume(headOf(cluster(), 2), "device")).size).toBe(GIB);
  expect(existsSync(headOf(cluster(), 1).socket("device"))).toBe(false);
  const members = membersOf(await cluster().api("showLogicalVolume", { lvolid }));
  expect(members.map((extent) => extent.mirror_status)).toEqual([MemberStatus.INSYNC, MemberStatus.INSYNC]);
});

test("attachLogicalVolume attaches the snapshots of the volume with it", async () => {
  const origin = await createSmall(cluster(), "family");
  const names = ["family-a", "family-b"];
  for (const name of names) await createSnapshotOf(cluster(), origin, name);
  const hsvrid = await headId();
  await cluster().api(method, { lvolid: origin.lvolid, hsvrid });
  for (const lvolname of names) {
    expect(await cluster().api("listLogicalVolumes", { lvolname })).toMatchObject([{ ...bound, hsvrid }]);
    expect((await openVolume(headOf(cluster()), lvolname)).size).toBe(GIB);
  }
});

test("attachLogicalVolume refuses a snapshot by itself with EINVAL", async () => {
  const origin = await createSmall(cluster(), "origin");
  const lvolid = await createSnapshotOf(cluster(), origin, "origin-s");
  const hsvrid = await headId();
  await expectRefusals(cluster(), method, [
    [{ lvolid, hsvrid }, "EINVAL", "snapshot"],
    [{ lvolname: "origin-s", hsvrid }, "EINVAL", "snapshot"],
  ]);
});

test("attachLogicalVolume refuses a head server that is not there, or not named, with EINVAL", async () => {
  const { lvolid } = await createSmall(cluster(), "headless");
  const wrong = [undefined, 0, -1, 2_000_000, 2 ** 31, "1", true, 1.5, []];
  await expectRefusals(
    cluster(),
    method,
    wrong.map((hsvrid) => [{ lvolid, hsvrid }, "EINVAL", "hsvrid"] as const),
  );
});

test("attachLogicalVolume takes lvolid and hsvrid in every form of a whole number", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "forms");
  const hsvrid = await headId();
  for (const [member, value, rest] of [
    ["lvolid", lvolid, { hsvrid }],
    ["hsvrid", hsvrid, { lvolid }],
  ] as const) {
    // Understood: the volume that is meant is attached.
    const forms = expectNumberForms(cluster(), { method, member, value, others: () => rest });
    expect((await faultOf(forms)).errno).toBe("EBUSY");
  }
});

test("attachLogicalVolume answers EBUSY for a volume that is attached, being attached or being detached, to any head", async () => {
  const { lvolid } = await createSmall(cluster(), "busy");
  const heads = [await headId(1), await headId(2)];
  const check = async (binding: object): Promise<void> => {
    await expectBinding(cluster(), lvolid, { ...binding, hsvrid: heads[0] ?? 0 });
    await expectRefusals(
      cluster(),
      method,
      heads.map((hsvrid) => [{ lvolid, hsvrid }, "EBUSY", "busy"] as const),
    );
  };
  const call = () => attach(cluster(), lvolid, headOf(cluster()));
  await whileHeld(cluster(), { method }, call, () =>
    check({ bind_status: BindStatus.UNBOUND, bind_event: BindEvent.BINDING }),
  );
  await check(bound);
  await whileHeld(
    cluster(),
    { method: "detachLogicalVolume" },
    () => detach(lvolid),
    () => check({ bind_status: BindStatus.BOUND, bind_event: BindEvent.UNBINDING }),
  );
  await expectBinding(cluster(), lvolid, unbound);
});

test("attachLogicalVolume answers the error that the head reports; the volume is in ERROR until a detach", async () => {
  const volume = await createSmall(cluster(), "error");
  const refusal = await failToAttach(cluster(), volume);
  expect(refusal.errno).toBe("EIO");
  const hsvrid = await headId();
  const info = await infoOf(cluster(), volume.lvolid);
  expect(info).toMatchObject({ bind_status: BindStatus.ERROR, bind_event: BindEvent.NONE, hsvrid });
  expect(info.bind_error).toBe(refusal.sentence);
  for (const head of [hsvrid, await headId(2)])
    await expectRefused(cluster(), method, { lvolid: volume.lvolid, hsvrid: head }, "EBUSY");
  expect(headOf(cluster()).dataPathPids().length).toBe(await servedBy(hsvrid));

  expect(await detach(volume.lvolid)).toBe(0);
  expect(await infoOf(cluster(), volume.lvolid)).toMatchObject({ ...unbound, bind_error: "" });
  await cluster().api(method, { lvolid: volume.lvolid, hsvrid });
  await openVolume(headOf(cluster()), "error");
});

/** How many volumes a head serves, without snapshots. */
async function servedBy(hsvrid: number): Promise<number> {
  const volumes = await cluster().api("listLogicalVolumes", {});
  return volumes.filter(
    (volume) =>
      volume.hsvrid === hsvrid &&
      volume.bind_status === BindStatus.BOUND &&
      volume.associated_to.length === 0,
  ).length;
}

test("attachLogicalVolume answers EHOSTDOWN for a head that is OFFLINE, and for one that is lost during the attach", async () => {
  const { lvolid } = await createSmall(cluster(), "offline");
  const hsvrid = await headId(2);
  const fail = () => cluster().api("notifyFailure", { target: FailureTarget.HSVR, targetid: hsvrid });
  const call = () => faultOf(cluster().api(method, { lvolid, hsvrid }));
  const refusal = await whileHeld(cluster(), { method, to: "head-2" }, call, async () => {
    await fail();
    await waitUntil("it is fenced", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
    await expectBinding(cluster(), lvolid, unbound);
  });
  expect(refusal.errno).toBe("EHOSTDOWN");

  expect(await cluster().api("listHeadServers", { hsvrid })).toMatchObject([{ priority: Priority.OFFLINE }]);
  await expectRefusals(cluster(), method, [[{ lvolid, hsvrid }, "EHOSTDOWN", "OFFLINE"]]);
  await attach(cluster(), lvolid, headOf(cluster()));
});

test("attachLogicalVolume goes on when the manager is started anew", async () => {
  const { lvolid } = await createSmall(cluster(), "resumed");
  const { manager } = cluster();
  await whileHeld(
    cluster(),
    { method },
    () => faultOf(attach(cluster(), lvolid, headOf(cluster()))),
    async () => {
      await manager.stop(30_000);
      manager.up();
      await waitUntil("the manager answers", () => cluster().status());
      await expectBinding(cluster(), lvolid, { bind_event: BindEvent.BINDING });
    },
  );
  await waitUntil("it is attached", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
  await expectBinding(cluster(), lvolid, bound);
});
