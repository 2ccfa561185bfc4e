import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import { patientHead } from "../harness/cluster.js";
import { isInSyncOn } from "../harness/members.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { firstMismatch, writeAll } from "../harness/volume-io.js";
import { createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

/** How long the manager is away. */
const AWAY_MS = 60_000;

test("reads and writes go on for a minute without the manager; a copy that fails then holds up writes until it is back", async () => {
  const cluster = await useCluster({
    storageServers: 3,
    diskGb: 2,
    manager: { replace_after: 600 },
    head: patientHead,
  });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const failing = cluster.storage[2] as TestServer;

  await cluster.manager.kill();
  const since = performance.now();
  const rounds = [0, 1, 2, 3].map((index) => randomData(`round ${index}`, 8 * MIB));
  for (let round = 0; performance.now() - since < AWAY_MS; round += 1) {
    const data = rounds[round % rounds.length] as Buffer;
    const offset = (round % rounds.length) * 8 * MIB;
    await writeAll(client, offset, data);
    await client.flush();
    expect(await firstMismatch(client, offset, data)).toBeUndefined();
  }

  await failing.kill();
  const missed = randomData("missed", 4 * MIB);
  let acknowledged = 0;
  const writing = writeAll(client, 64 * MIB, missed, (done) => {
    acknowledged = done;
  });
  await waitUntil("the head tries to report it", () => head.logTail().includes("reportMemberFailure failed"));
  expect(acknowledged).toBe(0);

  cluster.manager.up();
  await writing;
  expect(await isInSyncOn(cluster, lvolid, failing)).toBe(false);
  failing.up();
  const written = rounds.map((data, index) => ({ offset: index * 8 * MIB, data }));
  await expectSound(cluster, lvolid, client, [...written, { offset: 64 * MIB, data: missed }]);
});
