import { expect, test } from "vitest";
import { FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { membersOf } from "../harness/cluster.js";
import { isInSyncOn } from "../harness/members.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { writeAll } from "../harness/volume-io.js";
import { createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const { INSYNC } = MemberStatus;

test("without a server to spare a head does without copies that were declared failed, and room that comes makes them anew", async () => {
  const cluster = await useCluster({ storageServers: 4, diskGb: 1 });
  const [failed, , , spare] = cluster.storage as [TestServer, TestServer, TestServer, TestServer];
  const head = cluster.heads[0] as TestServer;
  const spareId = await cluster.storageServerId(spare);
  await spare.kill();
  await waitUntil("there is no server to spare", async () => {
    const [server] = await cluster.api("listStorageServers", { ssvrid: spareId });
    return server?.priority === Priority.OFFLINE;
  });
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const data = randomData("data", 8 * MIB);
  await writeAll(client, 0, data);

  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid: await cluster.storageServerId(failed) });
  const pdskid = disk?.pdskid ?? 0;
  await cluster.api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  await waitUntil(
    "its head does without the failed copy",
    async () => !(await isInSyncOn(cluster, lvolid, failed)),
  );
  await writeAll(client, 8 * MIB, data);
  await client.flush();
  await waitUntil("no job is left", async () => (await cluster.status()).jobs.length === 0);
  expect(await cluster.api("deletePhysicalDisk", { pdskid })).toBe(0);
  const left = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  expect(left.map(({ mirror_status }) => mirror_status)).toEqual([INSYNC, INSYNC]);
  await expectConsistent(cluster);

  spare.up();
  await waitUntil(
    "there are three copies again",
    async () => {
      const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
      return volume?.fault === false;
    },
    240_000,
  );
  await writeAll(client, 16 * MIB, data);
  const written = [0, 8 * MIB, 16 * MIB].map((offset) => ({ offset, data }));
  await expectSound(cluster, lvolid, client, written);
  expect(membersOf(await cluster.api("showLogicalVolume", { lvolid }))).toHaveLength(3);
});
