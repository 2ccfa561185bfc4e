import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, writeAll } from "../harness/volume-io.js";
import { createOpened } from "../harness/volumes.js";

test("two clusters on one machine don't disturb each other", async () => {
  const clusters = await Promise.all([useCluster({ storageServers: 3 }), useCluster({ storageServers: 3 })]);
  const opened = [];
  for (const [index, cluster] of clusters.entries()) {
    const head = cluster.heads[0] as TestServer;
    // Same names, same ids, other bytes.
    const { client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
    const data = randomData(`cluster ${index}`, 16 * MIB);
    await writeAll(client, 0, data);
    opened.push({ client, data });
  }
  const [first, second] = await Promise.all(clusters.map((cluster) => cluster.status()));
  expect(first?.cluster).not.toBe(second?.cluster);

  await clusters[0].storage[0]?.kill();
  await clusters[0].manager.kill();
  for (const { client, data } of opened) expect(await firstMismatch(client, 0, data)).toBeUndefined();
  expect((await clusters[1].status()).storage_servers).toEqual({ total: 3, up: 3 });
  await expectConsistent(clusters[1]);
});
