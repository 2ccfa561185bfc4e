import { expect, test } from "vitest";
import { BindEvent, BindStatus, FailureTarget, Priority } from "../../../shared/states.js";
import { MIB } from "../../../shared/units.js";
import { faultOf } from "../../harness/fault-of.js";
import { editDatabase } from "../../harness/manager-database.js";
import { randomData } from "../../harness/random-data.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { shownState } from "../../harness/shown-state.js";
import { firstMismatch, openVolume, writeAll } from "../../harness/volume-io.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf } from "./copies.js";
import { expectRefusals } from "./refusals.js";
import {
  bound,
  createSmall,
  createSmallAttached,
  expectBinding,
  failToAttach,
  headOf,
  infoOf,
  patient,
  whileHeld,
} from "./volumes.js";

// Asked often: nobody is brought back by being heard.
const manager = { ...patient, server_check_interval: 1 };
const cluster = shareCluster({ storageServers: 3, headServers: 2, diskGb: 3, gate: true, manager });
const method = "shutdownAll";
const data = randomData("content", 4 * MIB);
const { OFFLINE, HALT, FAULTY, HIGH } = Priority;
let kept = 0;

async function priorities() {
  const of = (list: readonly { readonly priority: number }[]) => list.map(({ priority }) => priority);
  return {
    heads: of(await cluster().api("listHeadServers", {})),
    servers: of(await cluster().api("listStorageServers", {})),
    disks: of(await cluster().api("listPhysicalDisks", {})),
  };
}

const expectBusy = (lvolname: string) => expectRefusals(cluster(), method, [[{}, "EBUSY", lvolname]]);

test("shutdownAll answers EBUSY while a volume is BINDING, BOUND, UNBINDING or in ERROR, and takes nothing out", async () => {
  const volume = await createSmall(cluster(), "content");
  kept = volume.lvolid;
  const call = () => attach(cluster(), kept, headOf(cluster()));
  await whileHeld(cluster(), { method: "attachLogicalVolume" }, call, async () => {
    await expectBinding(cluster(), kept, { bind_event: BindEvent.BINDING });
    await expectBusy("content");
  });
  await expectBinding(cluster(), kept, bound);
  await expectBusy("content");
  const client = await openVolume(headOf(cluster()), "content");
  await writeAll(client, 0, data);
  await client.close();
  const detach = () => cluster().api("detachLogicalVolume", { lvolid: kept });
  await whileHeld(cluster(), { method: "detachLogicalVolume" }, detach, async () => {
    await expectBinding(cluster(), kept, { bind_event: BindEvent.UNBINDING });
    await expectBusy("content");
  });

  const broken = await createSmall(cluster(), "broken");
  await failToAttach(cluster(), broken);
  await expectBinding(cluster(), broken.lvolid, { bind_status: BindStatus.ERROR });
  await expectBusy("broken");
  await cluster().api("detachLogicalVolume", { lvolid: broken.lvolid });
  await cluster().api("deleteLogicalVolume", { lvolid: broken.lvolid });
});

test("shutdownAll answers EBUSY while a volume is fenced", async () => {
  const { lvolid, lvolname } = await createSmallAttached(cluster(), "fenced");
  const targetid = (await infoOf(cluster(), lvolid)).hsvrid;
  const fail = () => cluster().api("notifyFailure", { target: FailureTarget.HSVR, targetid });
  await whileHeld(cluster(), { method: "revokeEpoch" }, fail, () => expectBusy(lvolname));
  await waitUntil(
    "it is fenced",
    async () => (await infoOf(cluster(), lvolid)).bind_event === BindEvent.NONE,
  );
  await cluster().api("deleteLogicalVolume", { lvolid });
});

test("shutdownAll makes head servers OFFLINE, storage servers and disks HALT, and leaves what is FAULTY", async () => {
  const disks = await cluster().api("listPhysicalDisks", {});
  const ssvrids = (await copiesOf(cluster(), kept)).map(({ lvolspec }) => lvolspec.ssvrid);
  const unused = disks.find(({ ssvrid }) => !ssvrids.includes(ssvrid));
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: unused?.pdskid ?? 0 });
  expect(await cluster().api(method, {})).toBe(0);
  expect(await priorities()).toEqual({
    heads: [OFFLINE, OFFLINE],
    servers: [HALT, HALT, HALT],
    disks: disks.map(({ pdskid }) => (pdskid === unused?.pdskid ? FAULTY : HALT)),
  });
});

test("shutdownAll leaves a manager that goes on: a create answers ENOSPC, an attach EHOSTDOWN", async () => {
  const before = await shownState(cluster());
  const create = { lvolname: "new", capacity: 1, redundancy: 2 };
  expect((await faultOf(cluster().api("createLogicalVolume", create))).errno).toBe("ENOSPC");
  for (const { hsvrid } of before.heads) {
    const call = cluster().api("attachLogicalVolume", { lvolid: kept, hsvrid });
    expect((await faultOf(call)).errno).toBe("EHOSTDOWN");
  }
  expect(await shownState(cluster())).toEqual(before);
});

test("shutdownAll is not undone by agents that run on, nor by the server check or a restart of the manager", async () => {
  const before = await shownState(cluster());
  // Each registers anew, as one that has run all along; their calls are made here for them, at once.
  for (const { plan } of cluster().storage) {
    const about = { ip_data: [plan.address], boot_id: "boot", starting: false };
    await cluster().api("registerStorageServer", about);
  }
  for (const { plan } of cluster().heads) {
    const about = { ip_data: [plan.address], boot_id: "boot", starting: false };
    await cluster().api("registerHeadServer", about);
  }
  expect(await shownState(cluster())).toEqual(before);
  await editDatabase(cluster(), () => undefined);
  expect(await cluster().api(method, {})).toBe(0);
  expect(await shownState(cluster())).toEqual(before);
});

test("shutdownAll is over for each server when its agent starts anew, and the data of a volume is still there", async () => {
  const copies = await cluster().api("showLogicalVolume", { lvolid: kept });
  for (const server of [...cluster().storage, ...cluster().heads]) {
    await server.killControl();
    server.up();
  }
  await waitUntil("everything is back", async () => {
    const { heads, servers, disks } = await priorities();
    return [...heads, ...servers].every((each) => each === HIGH) && disks.every((each) => each !== HALT);
  });
  expect((await priorities()).disks.toSorted()).toEqual([HIGH, HIGH, FAULTY]);
  expect(await cluster().api("showLogicalVolume", { lvolid: kept })).toEqual(copies);
  await attach(cluster(), kept, headOf(cluster(), 2));
  const client = await openVolume(headOf(cluster(), 2), "content");
  expect(await firstMismatch(client, 0, data)).toBeUndefined();
  await client.close();
  await cluster().api("detachLogicalVolume", { lvolid: kept });
});
