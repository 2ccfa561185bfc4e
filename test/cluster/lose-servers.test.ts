import { expect, test } from "vitest";
import type { MirrorNode } from "../../shared/layout-tree.js";
import { GIB, MIB } from "../../shared/units.js";
import { mirrorsOf, type TestCluster } from "../harness/cluster.js";
import { differenceOf } from "../harness/disk-files.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, writeAll } from "../harness/volume-io.js";
import { createOpened, serverOfFirstMirror } from "../harness/volumes.js";

/** Where the data begins: not at a mirror's boundary, and it runs over one. */
const OFFSET = 512 * MIB;

async function mirrors(cluster: TestCluster, lvolid: number): Promise<readonly MirrorNode[]> {
  return mirrorsOf(await cluster.api("showLogicalVolume", { lvolid }));
}

test("1 GiB survives the loss of a server while it is written, and of a second one after it has healed", async () => {
  const cluster = await useCluster({ storageServers: 5, diskGb: 4 });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 2, redundancy: 3, head });
  const data = randomData("data", GIB);
  const first = await serverOfFirstMirror(cluster, lvolid);

  let killed: Promise<void> | undefined;
  await writeAll(client, OFFSET, data, (done) => {
    if (done >= data.length / 2) killed ??= first.server.kill();
  });
  await killed;
  await client.flush();
  expect(await firstMismatch(client, OFFSET, data)).toBeUndefined();

  await cluster.waitUntilWhole([first.id]);
  for (const mirror of await mirrors(cluster, lvolid)) {
    expect(mirror.components).toHaveLength(3);
    expect(await differenceOf(cluster, mirror)).toBeUndefined();
  }
  await expectConsistent(cluster);

  const second = await serverOfFirstMirror(cluster, lvolid);
  await second.server.kill();
  expect(await firstMismatch(client, OFFSET, data)).toBeUndefined();
  await expectConsistent(cluster);
});

test("a server that comes back in time catches up in place", async () => {
  const cluster = await useCluster({ storageServers: 3, diskGb: 2, manager: { replace_after: 600 } });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const before = await mirrors(cluster, lvolid);
  const lost = cluster.storage[1] as TestServer;

  await writeAll(client, 0, randomData("before", 32 * MIB));
  await lost.kill();
  const data = randomData("meanwhile", 48 * MIB);
  await writeAll(client, 16 * MIB, data);
  await client.flush();
  lost.up();

  await cluster.waitUntilWhole();
  const members = (list: readonly MirrorNode[]) =>
    list.map(({ components }) => components.map(({ lvolid: id }) => id).sort());
  const after = await mirrors(cluster, lvolid);
  expect(members(after)).toEqual(members(before));
  for (const mirror of after) expect(await differenceOf(cluster, mirror)).toBeUndefined();
  expect(await firstMismatch(client, 16 * MIB, data)).toBeUndefined();
  await expectConsistent(cluster);
});
