import { expect, onTestFinished, test } from "vitest";
import { FailureTarget, Priority } from "../../shared/states.js";
import { extentPlace, MIB } from "../../shared/units.js";
import { membersOf } from "../harness/cluster.js";
import { FaultyDisk } from "../harness/faulty-disk.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { writeAll } from "../harness/volume-io.js";
import { createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

test("an unreadable place that nobody reads is found by a scrub: its copy is made anew elsewhere, and its disk gets nothing new", async () => {
  const faulty = await FaultyDisk.create(2);
  const cluster = await useCluster({
    storageServers: 3,
    diskGb: 2,
    disks: { "storage-1": [faulty.path] },
    storage: { scrub_interval: 1, scrub_rate_mb: 0 },
  });
  onTestFinished(() => faulty.heal());
  const [head, server] = [cluster.heads[0] as TestServer, cluster.storage[0] as TestServer];
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const data = randomData("data", 16 * MIB);
  await writeAll(client, 0, data);
  await client.flush();
  const ssvrid = await cluster.storageServerId(server);
  const { pdskid } = (await cluster.api("listPhysicalDisks", { ssvrid }))[0] ?? { pdskid: 0 };
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  const member = members.find(({ lvolspec }) => lvolspec.pdskid === pdskid);
  // If the copies are on the other two servers, the place is one that nobody uses.
  const offset = member?.lvolspec.offset ?? 0;

  faulty.set({ unreadable: extentPlace(offset, 1).dataStart + 500 * MIB + 777 });
  await waitUntil("the disk takes nothing new", async () => {
    const [disk] = await cluster.api("listPhysicalDisks", { ssvrid });
    return disk?.priority === Priority.LOW;
  });
  await cluster.waitUntilWhole(member === undefined ? [] : [ssvrid]);
  const events = await cluster.api("listEvents", {});
  const told = events.filter(({ target, targetid }) => target === FailureTarget.PDSK && targetid === pdskid);
  expect(told.map(({ sentence }) => sentence)).toContainEqual(
    expect.stringContaining(`has bad blocks: ${offset} (1 new)`),
  );
  faulty.heal();
  await expectSound(cluster, lvolid, client, [{ offset: 0, data }], faulty);
}, 900_000);
