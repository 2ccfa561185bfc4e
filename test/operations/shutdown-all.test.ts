import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listHeadServers } from "../../manager/operations/list-head-servers.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { listStorageServers } from "../../manager/operations/list-storage-servers.js";
import { showVolume } from "../../manager/operations/list-volumes.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { beginShreds } from "../../manager/operations/shred-extent.js";
import { shutdownAll } from "../../manager/operations/shutdown-all.js";
import { listWatchedServers, markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { linearOf } from "../../shared/layout-tree.js";
import { FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { attachedVolume, statusesOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll } from "./heal-all.js";
import { State, sectorsOf } from "./state.js";

const { HIGH, OFFLINE, FAULTY, HALT } = Priority;

const prioritiesOf = async (state: State) => ({
  heads: (await state.run(listHeadServers, {})).map(({ priority }) => priority),
  servers: (await state.run(listStorageServers, {})).map(({ priority }) => priority),
  disks: (await state.run(listPhysicalDisks, {})).map(({ priority }) => priority),
});

/** An agent registers its server, and its disk as it knows it by its label. */
async function register(state: State, number: number, starting?: boolean): Promise<void> {
  const server = { ip_data: [`10.2.0.${number}`], boot_id: `boot ${number}` };
  const ssvrid = await state.run(
    registerStorageServer,
    starting === undefined ? server : { ...server, starting },
  );
  const disk = { ssvrid, local_path: "/dev/sdb", pdskid: number, capacity: sectorsOf(4) };
  await state.run(registerPhysicalDisk, disk);
}

test("while a volume is attached, or on its way, nothing is shut down, and the sentence names it", async () => {
  const { state, lvolid, hsvrid } = await attachedVolume();
  const busy = { errno: "EBUSY", sentence: expect.stringContaining("volume v (") };
  await expect(state.run(shutdownAll, {})).rejects.toMatchObject(busy);
  await detach(state, lvolid);
  await state.run(beginAttach, { lvolid, hsvrid });
  await expect(state.run(shutdownAll, {})).rejects.toMatchObject(busy);
  expect(await prioritiesOf(state)).toEqual({
    heads: [HIGH],
    servers: [HIGH, HIGH, HIGH],
    disks: [HIGH, HIGH, HIGH],
  });
});

test("everything is out of use, a failed disk stays what it is, and people are told once", async () => {
  const state = await State.open();
  for (const number of [1, 2, 3]) await state.addServer(number, 4);
  await state.addHead(1);
  await state.run(markSilent, { kind: "storage", id: 2 });
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: 3 });
  expect(await state.run(shutdownAll, {})).toBe(0);
  expect(await prioritiesOf(state)).toEqual({
    heads: [OFFLINE],
    servers: [HALT, HALT, HALT],
    disks: [HALT, HALT, FAULTY],
  });
  await expect(state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 })).rejects.toMatchObject({
    errno: "ENOSPC",
  });
  const events = await state.store.db.selectFrom("event").select("sentence").execute();
  expect(events.filter(({ sentence }) => sentence.includes("shut down"))).toHaveLength(1);
  expect(await state.findings()).toEqual([]);
});

test("neither a repeated registration nor the server check brings back what was shut down, an agent's start does", async () => {
  const state = await State.open();
  for (const number of [1, 2]) await state.addServer(number, 4);
  await state.addHead(1);
  await state.run(markSilent, { kind: "storage", id: 2 });
  await state.run(markSilent, { kind: "head", id: 1 });
  await state.run(shutdownAll, {});
  const down = { heads: [OFFLINE], servers: [HALT, HALT], disks: [HALT, HALT] };
  expect(await state.run(listWatchedServers, {})).toEqual([]);
  for (const id of [1, 2]) await state.run(markHeard, { kind: "storage", id });
  await state.run(markHeard, { kind: "head", id: 1 });
  for (const number of [1, 2]) await register(state, number, false);
  const head = { ip_data: ["10.1.0.1"], boot_id: "boot 1", running: [] };
  await state.run(registerHeadServer, { ...head, starting: false });
  expect(await prioritiesOf(state)).toEqual(down);

  await register(state, 1, true);
  expect(await prioritiesOf(state)).toEqual({ ...down, servers: [HIGH, HALT], disks: [HIGH, HALT] });
  await register(state, 2);
  await state.run(registerHeadServer, { ...head, starting: true });
  expect(await prioritiesOf(state)).toEqual({ heads: [HIGH], servers: [HIGH, HIGH], disks: [HIGH, HIGH] });
});

test("nothing is shredded while all is shut down, and what was under way is done afterwards", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  const grown = { ssvrid, local_path: "/dev/sdb", pdskid, capacity: sectorsOf(6) };
  await state.run(registerPhysicalDisk, grown);
  await state.run(beginShreds, {});
  await state.claim("shred");
  await state.run(shutdownAll, {});
  expect(await state.run(beginShreds, {})).toBe(0);
  expect(await state.findings()).toEqual([]);
  await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "b" });
  await state.run(registerPhysicalDisk, grown);
  await state.finishShreds();
  expect(await state.run(listPhysicalDisks, {})).toMatchObject([{ available: 6, unshredded: 0 }]);
});

test("servers that come back one at a time find their copies where they were, of volumes that were never attached too", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid, mirrorid } = volume;
  const untouched = await state.run(createVolume, { lvolname: "w", capacity: 1, redundancy: 3 });
  const before = [await statusesOf(state, lvolid), await statusesOf(state, untouched)];
  await detach(state, lvolid);
  await state.run(shutdownAll, {});
  expect((await state.run(listMirrorsToHeal, {})).mirrorids).toEqual([]);
  const [mirror] = linearOf(await state.run(showVolume, { lvolid: untouched })).components;
  const used = mirror?.components.map(({ lvolspec }) => lvolspec.ssvrid) ?? [];
  // The one with room and without a copy is the first: copies could be placed there.
  const order = [1, 2, 3, 4].toSorted((a, b) => used.indexOf(a) - used.indexOf(b));
  for (const [index, number] of order.entries()) {
    await register(state, number, true);
    // A round that had begun before may still count as silent who is shut down by now.
    const silentTooLong = new Set(order.slice(index + 1));
    for (const id of [mirrorid, mirror?.lvolid ?? 0])
      await state.run(healMirror, { mirrorid: id, silentTooLong });
    await healAll(state);
  }
  expect([await statusesOf(state, lvolid), await statusesOf(state, untouched)]).toEqual(before);
  expect([...(before[1]?.values() ?? [])]).toEqual(Array(3).fill(MemberStatus.ALLOCATED));
  expect(await state.findings()).toEqual([]);
});

test("a server that was lost before the shutdown stays lost, and can be reported again to be deleted", async () => {
  const state = await State.open();
  await state.addServer(1, 4);
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: 1 });
  await state.run(shutdownAll, {});
  expect(await prioritiesOf(state)).toMatchObject({ servers: [HALT], disks: [HALT] });
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: 1 });
  expect(await prioritiesOf(state)).toMatchObject({ servers: [OFFLINE], disks: [OFFLINE] });
});
