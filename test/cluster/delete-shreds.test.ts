import { expect, test } from "vitest";
import { GIB, MIB } from "../../shared/units.js";
import { membersOf } from "../harness/cluster.js";
import { extentFiles, firstNonZero } from "../harness/disk-files.js";
import { faultOf } from "../harness/fault-of.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { writeAll } from "../harness/volume-io.js";
import { createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

test("the space of a deleted volume is given out only when the disk files hold zeros there", async () => {
  // The disks have room for one volume, so that the next one can only get the same space. A storage server that is
  // frozen for a while is not to be taken for a silent one.
  const cluster = await useCluster({
    storageServers: 2,
    diskGb: 1,
    manager: { server_check_interval: 3600 },
  });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "old", gigabytes: 1, redundancy: 2, head });
  const data = randomData("old", 32 * MIB);
  await writeAll(client, 0, data);
  await writeAll(client, GIB - data.length, data);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  const extents = await extentFiles(cluster, membersOf(await cluster.api("showLogicalVolume", { lvolid })));
  for (const { path, place } of extents) expect(firstNonZero(path, place.dataStart, place.end)).toBeDefined();

  for (const server of cluster.storage) server.freeze();
  await cluster.api("deleteLogicalVolume", { lvolid });
  const next = { lvolname: "new", capacity: 1, redundancy: 2 };
  expect((await faultOf(cluster.api("createLogicalVolume", next))).errno).toBe("ENOSPC");
  for (const server of cluster.storage) server.thaw();

  await waitUntil("the space is given out again", () => cluster.api("createLogicalVolume", next));
  for (const { path, place } of extents) expect(firstNonZero(path, place.start, place.end)).toBeUndefined();
  await expectConsistent(cluster);
});
