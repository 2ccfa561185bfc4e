import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { membersOf } from "../harness/cluster.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const data = randomData("data", 8 * MIB);

test.each([
  ["attached", true],
  ["detached", false],
] as const)(
  "with three servers, redundancy 3 and one lost, an %s volume waits for room, and is whole when a fourth is added",
  async (_, attached) => {
    const cluster = await useCluster({
      storageServers: 4,
      diskGb: 1,
      manager: { maintenance_delay: 0.2 },
      absent: ["storage-4"],
    });
    const head = cluster.heads[0] as TestServer;
    const lost = cluster.storage[1] as TestServer;
    const opened = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
    const { lvolid } = opened;
    let { client } = opened;
    await writeAll(client, 0, data);
    if (!attached) {
      await client.close();
      await cluster.api("detachLogicalVolume", { lvolid });
    }
    const ssvrid = await cluster.storageServerId(lost);
    await lost.kill();
    await cluster.api("notifyFailure", { target: FailureTarget.SSVR, targetid: ssvrid });
    await waitUntil("it is told that copies wait for room", async () => {
      const { notices } = await cluster.status();
      return notices.some((notice) => notice.startsWith("copies wait for room: one more copy of 1 GB"));
    });
    if (attached) await writeAll(client, 16 * MIB, data);

    const added = cluster.storage[3] as TestServer;
    added.up();
    await waitUntil(
      "three copies are in sync, none of them on the lost server",
      async () => {
        const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
        const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
        const servers = members.map(({ lvolspec }) => lvolspec.ssvrid);
        return volume?.fault === false && servers.length === 3 && !servers.includes(ssvrid);
      },
      240_000,
    );
    const servers = await cluster.api("listStorageServers", {});
    expect(servers.filter(({ priority }) => priority === Priority.HIGH)).toHaveLength(3);
    if (!attached) {
      await attach(cluster, lvolid, head);
      client = await openVolume(head, "data");
    }
    const offsets = attached ? [0, 16 * MIB] : [0];
    await expectSound(
      cluster,
      lvolid,
      client,
      offsets.map((offset) => ({ offset, data })),
    );
  },
);
