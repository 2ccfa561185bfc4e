import { expect, test } from "vitest";
import { FailureTarget, MemberStatus, Priority } from "../../../shared/states.js";
import { faultOf } from "../../harness/fault-of.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { shownState } from "../../harness/shown-state.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf, restartStorageServer, twoCopiesOf, waitUntilSound } from "./copies.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { expectRefusals } from "./refusals.js";
import { MadeUpServers } from "./server-registration.js";
import {
  bound,
  createSmall,
  createSmallAttached,
  expectBinding,
  headOf,
  infoOf,
  patient,
  unbound,
} from "./volumes.js";

const cluster = shareCluster({ storageServers: 3, headServers: 1, gate: true, manager: patient });
const method = "notifyFailure";
const { HSVR, SSVR, PDSK, LVOL } = FailureTarget;
const kinds = {
  storage: { method: "registerStorageServer", target: SSVR, sequence: "ssvr" },
  head: { method: "registerHeadServer", target: HSVR, sequence: "hsvr" },
} as const;
const servers = new MadeUpServers(cluster, kinds.storage);
const heads = new MadeUpServers(cluster, kinds.head);

const fail = (target: number, targetid: number) => cluster().api(method, { target, targetid });
const listed = async () => (await cluster().api("listEvents", { limit: 10_000 })).length;

/** The report is answered 0 once more, changes nothing, and is told no second time. */
async function expectNothingAnew(target: number, targetid: number): Promise<void> {
  const [before, events] = [await shownState(cluster()), await listed()];
  expect(await fail(target, targetid)).toBe(0);
  expect(await shownState(cluster())).toEqual(before);
  expect(await listed()).toBe(events);
}

async function bringHeadBack(): Promise<void> {
  const head = headOf(cluster());
  await head.killControl();
  head.up();
  await waitUntil("the head server is back", async () =>
    (await cluster().api("listHeadServers", {})).every(({ priority }) => priority === Priority.HIGH),
  );
}

test("notifyFailure answers EINVAL for a target that is none, and for members that are no numbers", async () => {
  const { ssvrid: targetid = 0 } = (await cluster().api("listStorageServers", {}))[0] ?? {};
  await expectRefusals(cluster(), method, [
    ...[0, 5, -1, 100, "2", 1.5, true, [], undefined].map(
      (target) => [{ target, targetid }, "EINVAL", "target"] as const,
    ),
    ...["1", "", 1.5, true, [], undefined].map(
      (wrong) => [{ target: SSVR, targetid: wrong }, "EINVAL", "targetid"] as const,
    ),
  ]);
});

test.each([
  ["head server", HSVR],
  ["storage server", SSVR],
  ["disk", PDSK],
  ["disk extent", LVOL],
] as const)("notifyFailure answers ENOENT for a %s that is not there", async (what, target) => {
  const nobody = [0, -1, 2_000_000, 0x7fff_ffff, 2 ** 40];
  await expectRefusals(
    cluster(),
    method,
    nobody.map((targetid) => [{ target, targetid }, "ENOENT", what] as const),
  );
});

test("notifyFailure answers ENOENT for a volume and a mirror: of their ids none is a disk extent's", async () => {
  const { lvolid } = await createSmall(cluster(), "no-extent");
  const { components } = await cluster().api("showLogicalVolume", { lvolid });
  const ids = [lvolid, components[0].lvolid];
  await expectRefusals(
    cluster(),
    method,
    ids.map((targetid) => [{ target: LVOL, targetid }, "ENOENT", "disk extent"] as const),
  );
  await cluster().api("deleteLogicalVolume", { lvolid });
});

test("notifyFailure of a head server makes it OFFLINE at once, and unbinds its volumes once they are fenced", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "fenced");
  const hsvrid = await cluster().headServerId(headOf(cluster()));
  const hold = cluster().gate.hold({ method: "revokeEpoch" });
  expect(await fail(HSVR, hsvrid)).toBe(0);
  expect(await cluster().api("listHeadServers", { hsvrid })).toMatchObject([{ priority: Priority.OFFLINE }]);
  await hold.next();
  await expectBinding(cluster(), lvolid, { hsvrid, bind_event: 2 });
  await expectNothingAnew(HSVR, hsvrid);
  await hold.messages[0]?.deliver();
  await hold.release();
  await waitUntil("it is unbound", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
  await expectBinding(cluster(), lvolid, unbound);
  await expectNothingAnew(HSVR, hsvrid);
  expect((await faultOf(attach(cluster(), lvolid, headOf(cluster())))).errno).toBe("EHOSTDOWN");
  await bringHeadBack();
  await attach(cluster(), lvolid, headOf(cluster()));
  await cluster().api("detachLogicalVolume", { lvolid });
  await cluster().api("deleteLogicalVolume", { lvolid });
});

test("notifyFailure of a head server during an attach ends the attach with EHOSTDOWN", async () => {
  const { lvolid } = await createSmall(cluster(), "half-way");
  const hold = cluster().gate.hold({ method: "attachLogicalVolume" });
  const refusal = faultOf(attach(cluster(), lvolid, headOf(cluster())));
  await hold.next();
  await fail(HSVR, await cluster().headServerId(headOf(cluster())));
  expect((await refusal).errno).toBe("EHOSTDOWN");
  await waitUntil("it is unbound", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
  await expectBinding(cluster(), lvolid, unbound);
  hold.messages[0]?.lose();
  await hold.release();
  await bringHeadBack();
  await cluster().api("deleteLogicalVolume", { lvolid });
});

test("notifyFailure of a disk makes it FAULTY, and of a storage server it and its disks OFFLINE, without agents too", async () => {
  const ssvrid = await servers.register(servers.addresses(1));
  const pdskid = await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdb" });
  await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdc" });
  const priorities = async (): Promise<number[]> =>
    (await cluster().api("listPhysicalDisks", { ssvrid })).map(({ priority }) => priority);
  expect(await fail(PDSK, pdskid)).toBe(0);
  expect(await priorities()).toEqual([Priority.FAULTY, Priority.HIGH]);
  await expectNothingAnew(PDSK, pdskid);
  await servers.fail(ssvrid);
  expect(await priorities()).toEqual([Priority.FAULTY, Priority.OFFLINE]);
  await expectNothingAnew(SSVR, ssvrid);
  await expectNothingAnew(PDSK, pdskid);
  const hsvrid = await heads.register(heads.addresses(1));
  await heads.fail(hsvrid);
  await expectNothingAnew(HSVR, hsvrid);
  await cluster().api("deleteHeadServer", { hsvrid });
});

test("notifyFailure of the extents of a detached volume takes one of them, and never the last good copy", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "last-copy");
  await cluster().api("detachLogicalVolume", { lvolid });
  const [first, last] = await twoCopiesOf(cluster(), lvolid);
  const good = async (): Promise<number[]> =>
    (await copiesOf(cluster(), lvolid))
      .filter(({ mirror_status }) => mirror_status === MemberStatus.INSYNC)
      .map((copy) => copy.lvolid);
  expect(await fail(LVOL, first.lvolid)).toBe(0);
  expect(await good()).toEqual([last.lvolid]);
  expect(await infoOf(cluster(), lvolid)).toMatchObject({ fault: true });
  await expectNothingAnew(LVOL, first.lvolid);
  await cluster().api("notifyFailure", { target: LVOL, targetid: last.lvolid });
  expect(await good()).toEqual([last.lvolid]);
  await expectNothingAnew(LVOL, last.lvolid);
  await cluster().api("deleteLogicalVolume", { lvolid });
});

test("notifyFailure of storage servers without room elsewhere takes them out at once; the copies wait for one that comes", async () => {
  const lvolid = await cluster().api("createLogicalVolume", {
    lvolname: "waiting",
    capacity: 1,
    redundancy: 3,
  });
  await attach(cluster(), lvolid, headOf(cluster()));
  const [lost] = await copiesOf(cluster(), lvolid);
  const { ssvrid = 0, pdskid = 0 } = lost?.lvolspec ?? {};
  expect(await fail(SSVR, ssvrid)).toBe(0);
  expect(await cluster().api("listStorageServers", { ssvrid })).toMatchObject([
    { priority: Priority.OFFLINE },
  ]);
  expect(await cluster().api("listPhysicalDisks", { ssvrid })).toMatchObject([
    { pdskid, priority: Priority.OFFLINE },
  ]);
  await waitUntil("it waits for room", async () =>
    (await cluster().status()).notices.some((notice) => notice.startsWith("copies wait for room")),
  );
  await expectBinding(cluster(), lvolid, bound);
  await waitUntil("its head does without the lost copy", async () =>
    (await copiesOf(cluster(), lvolid)).every(
      ({ lvolspec, mirror_status }) => lvolspec.ssvrid !== ssvrid || mirror_status !== MemberStatus.INSYNC,
    ),
  );
  await expectNothingAnew(SSVR, ssvrid);
  await restartStorageServer(cluster(), ssvrid);
  await waitUntil("nothing waits for room", async () =>
    (await cluster().status()).notices.every((notice) => !notice.startsWith("copies wait for room")),
  );
  await waitUntilSound(cluster(), lvolid);
  expect(await copiesOf(cluster(), lvolid)).toHaveLength(3);
  await cluster().api("detachLogicalVolume", { lvolid });
});

test("notifyFailure of a storage server has its copies made anew elsewhere", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "replaced");
  const [first] = await twoCopiesOf(cluster(), lvolid);
  const { ssvrid } = first.lvolspec;
  expect(await fail(SSVR, ssvrid)).toBe(0);
  await waitUntil("the copy is elsewhere", async () =>
    (await copiesOf(cluster(), lvolid)).every(({ lvolspec }) => lvolspec.ssvrid !== ssvrid),
  );
  await waitUntilSound(cluster(), lvolid);
  const places = (await copiesOf(cluster(), lvolid)).map(({ lvolspec }) => lvolspec.ssvrid);
  expect(places).toHaveLength(2);
  expect(places).not.toContain(ssvrid);
  await cluster().api("detachLogicalVolume", { lvolid });
});
