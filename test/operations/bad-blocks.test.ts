import { expect, test } from "vitest";
import { createVolume } from "../../manager/operations/create-volume.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { notifyBadBlocks } from "../../manager/operations/notify-bad-blocks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { attachedVolume, statusesOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll, placeOf } from "./heal-all.js";
import { State, sectorsOf } from "./state.js";

const { INSYNC, FAULTY } = MemberStatus;
const diskOf = async (state: State, pdskid: number) =>
  (await state.run(listPhysicalDisks, {})).find((disk) => disk.pdskid === pdskid);
const events = (state: State) => state.store.db.selectFrom("event").select("sentence").execute();

test("an unknown disk, or a block that the disk does not have, answers EINVAL, and nothing changes", async () => {
  const state = await State.open();
  const { pdskid } = await state.addServer(1, 4);
  const before = await events(state);
  const bad = { errno: "EINVAL" };
  for (const unknown of [0, -1, 99])
    await expect(state.run(notifyBadBlocks, { pdskid: unknown, blocks: [] })).rejects.toMatchObject(bad);
  for (const block of [-1, 4, 1e9]) {
    await expect(state.run(notifyBadBlocks, { pdskid, blocks: [0, block] })).rejects.toMatchObject({
      errno: "EINVAL",
      sentence: expect.stringContaining(`no block ${block};`),
    });
  }
  expect(await state.run(notifyBadBlocks, { pdskid, blocks: [] })).toBe(0);
  expect(await diskOf(state, pdskid)).toMatchObject({ priority: Priority.HIGH });
  expect(await events(state)).toEqual(before);
});

test("a disk with bad blocks takes nothing new, and a repeated report is none", async () => {
  const state = await State.open();
  const [first] = [await state.addServer(1, 4), await state.addServer(2, 4)];
  const before = (await events(state)).length;
  const report = { pdskid: first.pdskid, blocks: [3, 0, 3] };
  for (let time = 0; time < 2; time += 1) expect(await state.run(notifyBadBlocks, report)).toBe(0);
  expect(await diskOf(state, first.pdskid)).toMatchObject({ priority: Priority.LOW });
  const told = (await events(state)).slice(before);
  expect(told).toEqual([{ sentence: "disk pdsk-00000001 has bad blocks: 0, 3 (2 new)" }]);
  await expect(state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 })).rejects.toMatchObject({
    errno: "ENOSPC",
  });
  expect(await state.findings()).toEqual([]);
});

test("a disk with bad blocks comes back as LOW, by its registration and by its server's answer", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  await state.run(notifyBadBlocks, { pdskid, blocks: [2] });
  expect(await diskOf(state, pdskid)).toMatchObject({ priority: Priority.OFFLINE });
  await state.run(markHeard, { kind: "storage", id: ssvrid });
  expect(await diskOf(state, pdskid)).toMatchObject({ priority: Priority.LOW });
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: ssvrid });
  await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "b" });
  await state.run(registerPhysicalDisk, { ssvrid, local_path: "/dev/sdb", pdskid, capacity: sectorsOf(4) });
  expect(await diskOf(state, pdskid)).toMatchObject({ priority: Priority.LOW });
});

test("a member on a bad block is replaced elsewhere once its head does not use it, one beside it stays", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid } = volume;
  const [a] = volume.dextids;
  const { pdskid, offset } = await placeOf(volume, a);
  await state.run(notifyBadBlocks, { pdskid, blocks: [offset + 1] });
  await healAll(state);
  expect([...(await statusesOf(state, lvolid)).keys()]).toEqual([...volume.dextids]);
  await state.run(notifyBadBlocks, { pdskid, blocks: [offset] });
  // Its head stops using it first (R2).
  expect((await statusesOf(state, lvolid)).get(a)).toBe(INSYNC);
  await healAll(state);
  const statuses = await statusesOf(state, lvolid);
  expect(statuses.has(a)).toBe(false);
  expect([...statuses.values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect(await state.findings()).toEqual([]);
});

test("of a detached volume members on bad blocks are out at once, and the last good copy stays", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid } = volume;
  await detach(state, lvolid);
  for (const dextid of volume.dextids) {
    const { pdskid, offset } = await placeOf(volume, dextid);
    await state.run(notifyBadBlocks, { pdskid, blocks: [offset] });
  }
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([FAULTY, FAULTY, INSYNC]);
  await healAll(state);
  expect([...(await statusesOf(state, lvolid)).values()]).toContain(INSYNC);
  expect(await state.findings()).toEqual([]);
});
