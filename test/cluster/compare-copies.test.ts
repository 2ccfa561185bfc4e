import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { expect, test } from "vitest";
import { FailureTarget } from "../../shared/states.js";
import { extentPlace, MIB } from "../../shared/units.js";
import { membersOf, type TestCluster } from "../harness/cluster.js";
import { readComparisonTimes } from "../harness/manager-database.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { writeAll } from "../harness/volume-io.js";
import { createOpened, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const alwaysComparing = { manager: { compare_interval: 1 }, storage: { scrub_rate_mb: 0 } };

/** A byte of a file becomes another one. */
function corrupt(path: string, place: number): void {
  const file = openSync(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, place);
    writeSync(file, Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, place);
  } finally {
    closeSync(file);
  }
}

const noticesOf = async (cluster: TestCluster) =>
  (await cluster.status()).notices.filter((notice) => notice.includes("differ"));

test("a byte that changed on one disk is told of with its place, until that copy is reported and made anew", async () => {
  const cluster = await useCluster({ storageServers: 3, diskGb: 2, ...alwaysComparing });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, {
    name: "data",
    gigabytes: 1,
    redundancy: 2,
    head,
  });
  const at = 100 * MIB;
  const data = randomData("data", 16 * MIB);
  await writeAll(client, at, data);
  await client.flush();
  expect(await noticesOf(cluster)).toEqual([]);

  const { id, server } = await serverOfFirstMirror(cluster, lvolid);
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  const member = members.find(({ lvolspec }) => lvolspec.ssvrid === id);
  if (member === undefined) throw new Error("the volume has no extent there");
  const place = extentPlace(member.lvolspec.offset, 1).dataStart + 100 * MIB + 5_000_001;
  corrupt(server.plan.disks[0] ?? "", place);

  await waitUntil("the difference is told", async () => (await noticesOf(cluster)).length > 0, 240_000);
  const [notice = ""] = await noticesOf(cluster);
  expect(notice).toContain(`the copies of volume data differ at byte ${at + 5_000_001}:`);
  const dext = `dext-${member.lvolid.toString(16).padStart(8, "0")}`;
  expect(notice).toContain(`${dext} (byte ${place} of pdsk-`);
  expect(notice).toContain("notifyFailure");
  const told = (await cluster.api("listEvents", {})).filter(({ sentence }) => sentence === notice);
  expect(told.map(({ target }) => target)).toEqual([FailureTarget.LVOL]);

  await cluster.api("notifyFailure", { target: FailureTarget.LVOL, targetid: member.lvolid });
  await waitUntil(
    "it is made anew",
    async () => {
      const now = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
      return now.length === 2 && now.every((extent) => extent.lvolid !== member.lvolid);
    },
    240_000,
  );
  await expectSound(cluster, lvolid, client, [{ offset: at, data }]);
  expect(await noticesOf(cluster)).toEqual([]);
}, 590_000);

test("the copies of a detached volume are compared, too", async () => {
  const manager = { ...alwaysComparing.manager, maintenance_delay: 0.2 };
  const cluster = await useCluster({ ...alwaysComparing, storageServers: 2, diskGb: 1, manager });
  const head = cluster.heads[0] as TestServer;
  const volume = { name: "cold", gigabytes: 1, redundancy: 2, head };
  const { lvolid, client } = await createOpened(cluster, volume);
  await writeAll(client, 0, randomData("data", 4 * MIB));
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  const [path = ""] = cluster.storage[0]?.plan.disks ?? [];
  corrupt(path, extentPlace(0, 1).dataStart + 3_000_001);
  await waitUntil("the difference is told", async () => (await noticesOf(cluster)).length > 0, 240_000);
  const [notice = ""] = await noticesOf(cluster);
  expect(notice).toContain("the copies of volume cold differ at byte 3000001:");
  const [shown] = await cluster.api("listLogicalVolumes", { lvolid });
  expect(shown).toMatchObject({ hsvrid: 0, bind_status: 0, bind_event: 0, fault: false });
}, 590_000);

test("copies that are being written all the time are not said to differ", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, ...alwaysComparing });
  const head = cluster.heads[0] as TestServer;
  const volume = { name: "busy", gigabytes: 1, redundancy: 2, head };
  const { lvolid, client } = await createOpened(cluster, volume);
  const patterns = ["one", "other"].map((name) => randomData(name, MIB));
  let isDone = false;
  const write = async (place: number): Promise<void> => {
    for (let turn = 0; !isDone; turn += 1) {
      const at = place + (turn % 16) * MIB;
      await client.write(at, patterns[Math.floor(turn / 16) % 2] as Buffer);
      if (turn % 50 === 0) await client.trim(at, MIB / 2);
    }
  };
  const writers = [0, 8 * MIB, 512 * MIB].map(write);
  const rounds = new Set<number>();
  await waitUntil(
    "the copies were compared some times",
    () => {
      for (const time of readComparisonTimes(cluster)) rounds.add(time);
      return rounds.size > 3;
    },
    240_000,
  );
  isDone = true;
  await Promise.all(writers);
  expect(await noticesOf(cluster)).toEqual([]);
  const events = await cluster.api("listEvents", {});
  expect(events.filter(({ sentence }) => sentence.includes("differ"))).toEqual([]);
  await expectSound(cluster, lvolid, client, []);
}, 590_000);
