import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import { extentIds } from "../harness/members.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { writeAll } from "../harness/volume-io.js";
import { createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const REPLACE_AFTER_S = 15;

test("when half of the servers go silent nothing is replaced, an event says why, and all catches up when they are back", async () => {
  const cluster = await useCluster({
    storageServers: 4,
    diskGb: 4,
    manager: { replace_after: REPLACE_AFTER_S },
  });
  const head = cluster.heads[0] as TestServer;
  const opened = { name: "data", gigabytes: 2, redundancy: 3, head };
  const { lvolid, client } = await createOpened(cluster, opened);
  const before = await extentIds(cluster, lvolid);
  const data = randomData("data", 4 * MIB);
  await writeAll(client, 0, data);

  const silent = cluster.storage.slice(0, 2);
  for (const server of silent) await server.kill();
  const offsets = [8 * MIB, 1032 * MIB];
  for (const offset of offsets) await writeAll(client, offset, data);
  await waitUntil("the brake is on", async () => {
    const { storage_servers, notices } = await cluster.status();
    return storage_servers.up === 2 && notices.some((notice) => notice.includes("nothing is replaced"));
  });
  const events = await cluster.api("listEvents", {});
  expect(events.map(({ sentence }) => sentence)).toContainEqual(
    expect.stringMatching(/^2 storage servers are silent: the fault is likely on the manager's side/),
  );
  // For longer than silent servers are waited for.
  const since = performance.now();
  while (performance.now() - since < 2_000 * REPLACE_AFTER_S) await writeAll(client, 16 * MIB, data);
  expect(await extentIds(cluster, lvolid)).toEqual(before);

  for (const server of silent) server.up();
  const written = [0, 16 * MIB, ...offsets].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, client, written);
  expect(await extentIds(cluster, lvolid)).toEqual(before);
});
