import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import type { TestCluster } from "../harness/cluster.js";
import { extentIds, isInSyncOn } from "../harness/members.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

/** Storage servers that hold members of a volume. */
async function membersServers(cluster: TestCluster, lvolid: number): Promise<TestServer[]> {
  const holds = await Promise.all(cluster.storage.map((server) => isInSyncOn(cluster, lvolid, server)));
  return cluster.storage.filter((_, index) => holds[index]);
}

test("a storage server that only the manager is cut from and that comes back after it was replaced leaves no more copies than the volume is to have", async () => {
  const cluster = await useCluster({ storageServers: 4, diskGb: 2, network: "namespaces" });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const [away] = await membersServers(cluster, lvolid);
  if (away === undefined) throw new Error("the volume has no members");
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);

  cluster.network.cut(cluster.manager, away);
  await waitUntil("another server has a member", async () => {
    const servers = await membersServers(cluster, lvolid);
    return servers.filter((server) => server !== away).length === 2;
  });
  await writeAll(client, 4 * MIB, data);
  cluster.network.heal(cluster.manager, away);
  await waitUntil(
    "all storage servers are up",
    async () => (await cluster.status()).storage_servers.up === 4,
  );
  expect(await isInSyncOn(cluster, lvolid, away)).toBe(true);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await waitUntil(
    "the mirror has two members",
    async () => (await extentIds(cluster, lvolid)).length === 2,
    15_000,
  );
  await cluster.waitUntilUsable();
  await attach(cluster, lvolid, head);
  const again = await openVolume(head, "data");
  const written = [0, 4 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, again, written);
});
