import { expect, test } from "vitest";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteHeadServer } from "../../manager/operations/delete-head-server.js";
import { deleteStorageServer } from "../../manager/operations/delete-storage-server.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import { listHeadServers } from "../../manager/operations/list-head-servers.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { listStorageServers } from "../../manager/operations/list-storage-servers.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { markSilent } from "../../manager/operations/watch-servers.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { attachedVolume, statusesOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll, placeOf } from "./heal-all.js";
import { State, sectorsOf } from "./state.js";

const { INSYNC } = MemberStatus;
const { HSVR, SSVR, PDSK } = FailureTarget;

test("ids that are of no server answer ENOENT", async () => {
  const state = await State.open();
  for (const id of [0, -7, 1, 0x7fff_ffff]) {
    const unknown = { errno: "ENOENT" };
    await expect(state.run(deleteStorageServer, { ssvrid: id })).rejects.toMatchObject(unknown);
    await expect(state.run(deleteHeadServer, { hsvrid: id })).rejects.toMatchObject(unknown);
  }
});

test("servers in use answer EBUSY with what to do", async () => {
  const state = await State.open();
  const { ssvrid } = await state.addServer(1, 4);
  const hsvrid = await state.addHead(1);
  const busy = { errno: "EBUSY", sentence: expect.stringMatching(/is HIGH.*stop it.*notifyFailure/) };
  await expect(state.run(deleteStorageServer, { ssvrid })).rejects.toMatchObject(busy);
  await expect(state.run(deleteHeadServer, { hsvrid })).rejects.toMatchObject(busy);
});

test("a storage server goes with its addresses and all its disks, whatever their state; it comes back as a new one", async () => {
  const state = await State.open();
  const { ssvrid, pdskid } = await state.addServer(1, 4);
  await state.run(registerPhysicalDisk, { ssvrid, local_path: "/dev/sdc", capacity: sectorsOf(4) });
  await state.run(notifyFailure, { target: PDSK, targetid: pdskid });
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  expect(await state.run(deleteStorageServer, { ssvrid })).toBe(0);
  expect(await state.run(listStorageServers, {})).toEqual([]);
  expect(await state.run(listPhysicalDisks, {})).toEqual([]);
  expect(await state.run(registerStorageServer, { ip_data: ["10.2.0.1"], boot_id: "b" })).toBe(ssvrid + 1);
  expect(await state.findings()).toEqual([]);
});

test("a storage server with a last good copy, or with one that a head uses, stays as it is", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid } = volume;
  const { ssvrid } = await placeOf(volume, volume.dextids[0]);
  await state.run(notifyFailure, { target: SSVR, targetid: ssvrid });
  const inUse = { errno: "EBUSY", sentence: expect.stringContaining("attached") };
  await expect(state.run(deleteStorageServer, { ssvrid })).rejects.toMatchObject(inUse);
  expect(await state.run(listStorageServers, {})).toHaveLength(4);
  await detach(state, lvolid);
  // Declared lost as well: neither of them is another good copy to rely on.
  for (const dextid of volume.dextids.slice(1)) {
    const { ssvrid: targetid } = await placeOf(volume, dextid);
    await state.run(notifyFailure, { target: SSVR, targetid });
  }
  const last = { errno: "EBUSY", sentence: expect.stringContaining("last good copy") };
  await expect(state.run(deleteStorageServer, { ssvrid })).rejects.toMatchObject(last);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect(await state.findings()).toEqual([]);
});

test("what a deleted server held of a detached volume, or of an attached one that is whole, is taken out", async () => {
  const volume = await attachedVolume(4);
  const { state, lvolid } = volume;
  const { ssvrid } = await placeOf(volume, volume.dextids[0]);
  const other = await state.run(createVolume, { lvolname: "w", capacity: 1, redundancy: 3 });
  await state.run(notifyFailure, { target: SSVR, targetid: ssvrid });
  await healAll(state);
  expect(await state.run(deleteStorageServer, { ssvrid })).toBe(0);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  await healAll(state);
  expect((await statusesOf(state, other)).size).toBe(3);
  expect(await state.findings()).toEqual([]);
});

test("a head server with a volume, or with one that is being fenced from it, stays; then it goes", async () => {
  const { state, lvolid, hsvrid } = await attachedVolume();
  await state.run(notifyFailure, { target: HSVR, targetid: hsvrid });
  await expect(state.run(deleteHeadServer, { hsvrid })).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: expect.stringContaining("volume v ("),
  });
  const [fence] = await state.claim("fence");
  await state.run(finishDetach, { jobid: fence?.jobid ?? 0, lvolid });
  expect(await state.run(deleteHeadServer, { hsvrid })).toBe(0);
  expect(await state.run(listHeadServers, {})).toEqual([]);
  expect(await state.addHead(1)).toBe(hsvrid + 1);
  expect(await state.findings()).toEqual([]);
});
