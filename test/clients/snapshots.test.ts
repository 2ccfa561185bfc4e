import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { GIB, MIB } from "../../shared/units.js";
import { membersOf, type TestCluster } from "../harness/cluster.js";
import { NbdClient } from "../harness/nbd-client.js";
import type { TestServer } from "../harness/test-server.js";
import { nbdUri, runTool } from "../harness/tools.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { attach, createAttached } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const GIGABYTES = 4;
const SNAPSHOTS = 20;
/** What fio writes in each mirror; it begins before a chunk's boundary. */
const AREA = { offset: 100 * MIB - 4096, length: 12 * MIB } as const;

/** A checksum over all that fio may have written. */
async function checksum(head: TestServer, name: string): Promise<string> {
  const client = await NbdClient.connect({ path: head.socket(name) });
  try {
    const hash = createHash("sha256");
    for (let mirror = 0; mirror < GIGABYTES; mirror += 1) {
      for (let at = 0; at < AREA.length; at += MIB) {
        hash.update(await client.read(mirror * GIB + AREA.offset + at, Math.min(MIB, AREA.length - at)));
      }
    }
    return hash.digest("hex");
  } finally {
    await client.close();
  }
}

/** One fio job in each mirror, which verifies what it wrote. @returns when all of it is verified. */
async function fio(head: TestServer, seconds: number): Promise<void> {
  const common = [
    ...["--ioengine=nbd", `--uri=${nbdUri(head.socket("data"))}`, "--rw=randwrite", "--bsrange=4k-64k"],
    ...["--bs_unaligned=0", "--iodepth=4", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0"],
    ...["--verify_backlog=64", "--time_based", `--runtime=${seconds}`, `--size=${AREA.length}`],
  ];
  const jobs = Array.from({ length: GIGABYTES }, (_, mirror) => [
    `--name=mirror${mirror}`,
    `--offset=${mirror * GIB + AREA.offset}`,
  ]);
  await runTool("fio", [...common, ...jobs.flat()]);
}

/** Writes and verifies, again and again, until some other work is done. */
async function fioWhile<T>(head: TestServer, work: Promise<T>): Promise<T> {
  let isDone = false;
  const end = (): void => {
    isDone = true;
  };
  work.then(end, end);
  while (!isDone) await fio(head, 5);
  return work;
}

class Snapshots {
  readonly checksums = new Map<string, string>();

  constructor(
    private readonly cluster: TestCluster,
    private readonly origin: number,
  ) {}

  async take(head: TestServer, name: string): Promise<void> {
    await this.cluster.api("createSnapshot", { origin_lvolid: this.origin, snapshot_lvolname: name });
    this.checksums.set(name, await checksum(head, name));
  }

  async delete(name: string): Promise<void> {
    await this.cluster.api("deleteLogicalVolume", { lvolname: name });
    this.checksums.delete(name);
  }

  async expectUnchanged(head: TestServer, when: string): Promise<void> {
    for (const [name, expected] of this.checksums)
      expect(await checksum(head, name), `${name} ${when}`).toBe(expected);
  }
}

test("20 snapshots of a volume that fio writes to, half of them deleted, keep their checksums", async () => {
  const cluster = await useCluster({
    storageServers: 5,
    headServers: 2,
    diskGb: 120,
  });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const lvolid = await createAttached(cluster, {
    name: "data",
    gigabytes: GIGABYTES,
    redundancy: 2,
    head: one,
  });
  const snapshots = new Snapshots(cluster, lvolid);
  const takeAll = async (): Promise<void> => {
    for (let number = 1; number <= SNAPSHOTS; number += 1) {
      await snapshots.take(one, `s${number}`);
      if (number % 2 === 0) await snapshots.delete(`s${number - 1}`);
    }
  };
  await fioWhile(one, takeAll());
  expect(new Set(snapshots.checksums.values()).size).toBe(SNAPSHOTS / 2);
  await snapshots.expectUnchanged(one, "after it was written on");

  await fioWhile(one, snapshots.expectUnchanged(one, "while it is written on"));
  await cluster.api("detachLogicalVolume", { lvolid });
  await attach(cluster, lvolid, two);
  await snapshots.expectUnchanged(two, "after a move to another head");

  // The head dies while it copies, and comes back.
  const dying = fio(two, 60).catch(() => undefined);
  await untilWritten(two);
  await two.kill();
  await dying;
  two.up();
  await two.waitUntilAnswers();
  await waitUntil("the volume is free", async () => {
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    return volume?.bind_status === 0 && volume.bind_event === 0;
  });
  await attach(cluster, lvolid, one);
  await snapshots.expectUnchanged(one, "after a crash of its head");

  // A server with copies of the volume and of copy-on-write space is lost, and all of them are made anew elsewhere.
  const lost = await serverOfBoth(cluster, lvolid);
  await lost.server.kill();
  await fioWhile(one, cluster.waitUntilWhole([lost.id], 480_000));
  await snapshots.expectUnchanged(one, "after a resync of the volume and its copy-on-write space");
  for (const [name] of snapshots.checksums)
    expect(await cluster.api("listLogicalVolumes", { lvolname: name })).toMatchObject([
      { snapshot_status: "VALID", fault: false },
    ]);
  await expectConsistent(cluster);
});

/** Waits until the content of the volume changes. */
async function untilWritten(head: TestServer): Promise<void> {
  const before = await checksum(head, "data");
  await waitUntil("the volume is written to", async () => (await checksum(head, "data")) !== before);
}

async function serverOfBoth(
  cluster: TestCluster,
  lvolid: number,
): Promise<{ readonly id: number; readonly server: TestServer }> {
  const volume = await cluster.api("showLogicalVolume", { lvolid });
  const own = new Set(membersOf(volume).map(({ lvolspec }) => lvolspec.ssvrid));
  const [snapshot] = volume.lvolspec.assoc;
  const kept = snapshot === undefined ? [] : membersOf(snapshot);
  const id = kept.map(({ lvolspec }) => lvolspec.ssvrid).find((ssvrid) => own.has(ssvrid));
  for (const server of cluster.storage) {
    if ((await cluster.storageServerId(server)) === id) return { id, server };
  }
  throw new Error("no storage server has copies of both");
}
