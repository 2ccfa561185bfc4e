import { truncateSync } from "node:fs";
import { expect, test } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import { MemberStatus } from "../../shared/states.js";
import { extentPlace, GIB, MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { Rig } from "./rig.js";

const REGION = 16 * MIB;

test("a member that comes back is given only the regions that were written meanwhile", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("all have it", MIB));
  await rig.disk(1).kill();
  const data = randomData("missed", MIB);
  await client.write(5 * REGION, data);
  await rig.startDisk(rig.disk(1));
  const result = rig.resync(0, 1);
  const seen: number[] = [];
  await Promise.all([
    result,
    waitUntil("it is in sync", async () => {
      const status = await rig.status();
      for (const { total } of status.resyncs) seen.push(total);
      return (await rig.memberState(0, 1)) === "insync";
    }),
  ]);
  expect(Math.max(0, ...seen)).toBeLessThanOrEqual(2 * REGION);
  expect(rig.peek(0, 1, 5 * REGION, MIB).equals(data)).toBe(true);
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(3);
  expect(await rig.chunksCopied(1)).toEqual([32]); // the region that was missed, and the one whose bit was set before
});

test("a blank extent gets everything, and takes the place of the one that is removed", async () => {
  const rig = await Rig.create({ disks: 4 });
  await rig.attach();
  const client = await rig.open();
  const data = randomData("everything", 4 * MIB);
  await client.write(GIB - data.length, data);
  await client.write(0, data);
  rig.manager.mirrors.get(rig.mirrorid(0))?.members.set(rig.dextid(0, 3), MemberStatus.SPARE);
  const remove = rig.extent(0, 0, MemberStatus.INSYNC);
  const calls = [rig.resync(0, 3, remove), rig.resync(0, 3, remove)];
  await Promise.all(calls);
  expect(rig.manager.insync(rig.mirrorid(0))).toEqual([1, 2, 3].map((disk) => rig.dextid(0, disk)));
  expect(rig.peek(0, 3, GIB - data.length, data.length).equals(data)).toBe(true);
  expect(rig.peek(0, 3, 0, data.length).equals(data)).toBe(true);
  expect(await rig.memberState(0, 0)).toBeUndefined();
});

test("a second copy on the same disk, an unknown mirror and an unreachable disk are refused", async () => {
  const rig = await Rig.create({ disks: 4 });
  await rig.attach();
  await rig.disk(3).kill();
  await expect(rig.resync(0, 3)).rejects.toThrow("EHOSTDOWN");
  const add = { ...rig.extent(0, 1, MemberStatus.SPARE), lvolid: 77 };
  const call = { mirrorid: rig.mirrorid(0), version: 1, add, remove: null };
  await expect(rig.control("replaceMember", call)).rejects.toThrow("EINVAL");
  await expect(rig.control("replaceMember", { ...call, mirrorid: 5 })).rejects.toThrow("ENOENT");
});

test("writes during a resync reach the new member, and it fails without harm when its disk dies", async () => {
  const rig = await Rig.create({ disks: 4 });
  await rig.attach();
  const client = await rig.open();
  for (let at = 0; at < 8; at += 1) await client.write(at * REGION, randomData(`fill ${at}`, MIB));
  rig.manager.mirrors.get(rig.mirrorid(0))?.members.set(rig.dextid(0, 3), MemberStatus.SPARE);
  const failed = expect(rig.resync(0, 3)).rejects.toThrow(/E/);
  await waitUntil("it is being copied to", async () => (await rig.memberState(0, 3)) === "copying");
  await rig.disk(3).kill();
  for (let at = 0; at < 8; at += 1) await client.write(at * REGION + MIB, randomData(`more ${at}`, MIB));
  await failed;
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(3);
  await rig.startDisk(rig.disk(3));
  let writing = true;
  const writer = (async () => {
    for (let at = 0; writing; at = (at + 1) % 64)
      await client.write(at * REGION + 2 * MIB, randomData(`w ${at}`, 65_536));
  })();
  await rig.resync(0, 3);
  writing = false;
  await writer;
  await client.flush();
  for (let at = 0; at < 64; at += 1) {
    expect(rig.peek(0, 3, at * REGION, 3 * MIB).equals(rig.peek(0, 0, at * REGION, 3 * MIB))).toBe(true);
  }
});

test("a member that is only being copied to may lose its grant: its resync ends, and the volume goes on", async () => {
  const rig = await Rig.create({ disks: 4 });
  await rig.attach();
  const client = await rig.open();
  const withoutExtent = { grants: [{ lvolid: 1, epoch: 1, extents: [] }], revoked: [] };
  const withoutVolume = { grants: [], revoked: [{ lvolid: 1, epoch: 1 }] };
  for (const grants of [withoutExtent, withoutVolume]) {
    await callControl(rig.disk(3).control, "setGrants", grants, 5000);
    await expect(rig.resync(0, 3)).rejects.toThrow(/EIO|EHOSTDOWN/);
    const data = randomData("still served", 65_536);
    await client.write(0, data);
    expect((await client.read(0, data.length)).equals(data)).toBe(true);
  }
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(3);
  await rig.pushGrants(rig.disk(3));
  rig.manager.mirrors.get(rig.mirrorid(0))?.members.set(rig.dextid(0, 3), MemberStatus.SPARE);
  await rig.resync(0, 3);
});

test("a copy that is out of use keeps no other one from its disk", async () => {
  const rig = await Rig.create();
  const members = rig.manager.mirrors.get(rig.mirrorid(0))?.members;
  members?.set(5000, MemberStatus.FAULTY); // of the first disk too
  await rig.attach();
  await rig.disk(2).kill();
  const client = await rig.open();
  await client.write(0, randomData("one member is dropped", MIB));
  await waitUntil("it is out", async () => (await rig.memberState(0, 2)) === "out");
  await rig.startDisk(rig.disk(2));
  const add = rig.extent(0, 2, MemberStatus.SPARE, 6002);
  members?.set(6002, MemberStatus.SPARE);
  await rig.control("replaceMember", { mirrorid: rig.mirrorid(0), version: 1, add, remove: null });
  expect(members?.get(6002)).toBe(MemberStatus.INSYNC);
});

test("a source that can't be read is no fault of the member that it is copied to", async () => {
  const rig = await Rig.create({ disks: 2, redundancy: 1 });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("will be cut off", MIB));
  rig.manager.mirrors.get(rig.mirrorid(0))?.members.set(rig.dextid(0, 1), MemberStatus.SPARE);
  truncateSync(rig.disk(0).path, extentPlace(0, 1).dataStart);
  await expect(rig.resync(0, 1)).rejects.toThrow("EAGAIN");
});

test("a member is not read before it is in sync", async () => {
  const PIECE = 256 * 1024;
  const rig = await Rig.create({ disks: 4 });
  await rig.attach();
  const client = await rig.open();
  const data = randomData("copied last", 4 * MIB);
  const start = GIB - data.length;
  await client.write(start, data);
  rig.manager.mirrors.get(rig.mirrorid(0))?.members.set(rig.dextid(0, 3), MemberStatus.SPARE);
  const resync = rig.resync(0, 3);
  await waitUntil("it is being copied to", async () => (await rig.memberState(0, 3)) === "copying");
  for (let at = 0; at < data.length; at += PIECE)
    expect((await client.read(start + at, PIECE)).equals(data.subarray(at, at + PIECE))).toBe(true);
  await resync;
});

test("a member that fails while it is reported in sync is reported as failed before the write that it missed is answered", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await rig.disk(1).kill();
  await client.write(0, randomData("one member is dropped", MIB));
  await rig.startDisk(rig.disk(1));
  let record: () => void = () => undefined;
  const mayRecord = new Promise<void>((resolve) => {
    record = resolve;
  });
  rig.manager.beforeInSyncReport = () => mayRecord;
  const resync = expect(rig.resync(0, 1)).rejects.toThrow();
  await waitUntil("it is being reported", async () => (await rig.memberState(0, 1)) === "joining");
  await rig.disk(1).kill();
  const write = client.write(0, randomData("missed again", MIB));
  await waitUntil("it has failed", async () => (await rig.memberState(0, 1)) !== "joining");
  record();
  await Promise.all([write, resync]);
  expect(rig.manager.statusOf(rig.mirrorid(0), rig.dextid(0, 1))).toBe(MemberStatus.SPARE);
});

test("the bits of what a member missed outlive a detach: it is given that, and no more", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("all have it", MIB));
  await rig.disk(1).kill();
  const data = randomData("missed", MIB);
  await client.write(5 * REGION, data);
  await client.close();
  await waitUntil("the client is gone", async () => (await rig.status()).clients === 0);
  await rig.control("detach", {});
  await rig.volume?.exited;
  await rig.startDisk(rig.disk(1));
  await rig.attach();
  await rig.resync(0, 1);
  expect(rig.peek(0, 1, 5 * REGION, MIB).equals(data)).toBe(true);
  expect(await rig.chunksCopied(1)).toEqual([32]);
});
