import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { BindStatus } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import type { TestCluster } from "../harness/cluster.js";
import { isInSyncOn } from "../harness/members.js";
import type { Message } from "../harness/message-gate.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const data = randomData("data", 8 * MIB);

interface Degraded {
  readonly cluster: TestCluster;
  readonly heads: readonly [TestServer, TestServer];
  readonly lvolid: number;
  /** The server whose member is out of sync. */
  readonly away: TestServer;
  readonly written: readonly { readonly offset: number; readonly data: Buffer }[];
}

/** A volume that was detached while one of its servers was away; it stays away. */
async function degraded(): Promise<Degraded> {
  const cluster = await useCluster({
    headServers: 2,
    storageServers: 3,
    diskGb: 6,
    gate: true,
    manager: { maintenance_delay: 0.2, replace_after: 600 },
  });
  const heads = cluster.heads as [TestServer, TestServer];
  const opened = await createOpened(cluster, { name: "data", gigabytes: 2, redundancy: 3, head: heads[0] });
  const { lvolid, client } = opened;
  await writeAll(client, 0, data);
  const { server: away } = await serverOfFirstMirror(cluster, lvolid);
  await away.kill();
  // Both of its mirrors miss it.
  for (const offset of [256 * MIB, 1536 * MIB]) await writeAll(client, offset, data);
  expect(await isInSyncOn(cluster, lvolid, away)).toBe(false);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  const written = [0, 256 * MIB, 1536 * MIB].map((offset) => ({ offset, data }));
  return { cluster, heads, lvolid, away, written };
}

async function shownDetached({ cluster, lvolid }: Degraded): Promise<void> {
  const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
  expect(volume).toMatchObject({ hsvrid: 0, bind_status: BindStatus.UNBOUND, bind_event: 0, bind_error: "" });
}

test("a detached volume is brought in sync when its server is back, unseen by users", async () => {
  const volume = await degraded();
  const { cluster, heads, lvolid, away, written } = volume;
  away.up();
  const seen: unknown[] = [];
  await waitUntil("the volume is whole", async () => {
    await shownDetached(volume).catch((error: unknown) => seen.push(error));
    seen.push(...heads.map((head) => head.socket("data")).filter((socket) => existsSync(socket)));
    const [shown] = await cluster.api("listLogicalVolumes", { lvolid });
    return shown?.fault === false;
  });
  expect(seen).toEqual([]);
  await waitUntil("no head runs it any more", () => heads.every((head) => head.dataPathPids().length === 0));
  await waitUntil("nothing is left to do", async () => (await cluster.status()).jobs.length === 0);
  await shownDetached(volume);
  await attach(cluster, lvolid, heads[1]);
  await expectSound(cluster, lvolid, await openVolume(heads[1], "data"), written);
});

test.each([0, 1])(
  "an attach to head %i ends that at once, and the volume is brought in sync there",
  async (chosen) => {
    const volume = await degraded();
    const { cluster, heads, lvolid, away, written } = volume;
    const hold = cluster.gate.hold({ method: "replaceMirrorDisk" });
    away.up();
    // A head is about to bring it in sync.
    await hold.next();
    const head = heads[chosen] as TestServer;
    await attach(cluster, lvolid, head);
    await hold.release();
    const client = await openVolume(head, "data");
    await writeAll(client, 512 * MIB, data);
    await expectSound(cluster, lvolid, client, [...written, { offset: 512 * MIB, data }]);
    await waitUntil("one process serves it", async () => {
      return heads.flatMap((other) => other.dataPathPids()).length === 1;
    });
  },
);

test("when the head dies another one goes on, and a snapshot taken meanwhile is the volume of then", async () => {
  const volume = await degraded();
  const { cluster, heads, lvolid, away, written } = volume;
  const hold = cluster.gate.hold({ method: "replaceMirrorDisk" });
  const epochOf = ({ params }: Message): number => Number(params.epoch);
  away.up();
  // A head is about to bring it in sync.
  const first = await hold.next();
  await cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: "then" });
  // The snapshot has freed the volume, and a head takes it again.
  const again = await waitUntil("a head is to bring it in sync again", () =>
    hold.messages.find((message) => epochOf(message) > epochOf(first)),
  );
  const index = heads.findIndex((head) => head.plan.name === again.to);
  const [busy, other] = index === 1 ? [heads[1], heads[0]] : heads;
  expect(busy.dataPathPids()).toHaveLength(1);
  await busy.kill();
  hold.end();
  await cluster.waitUntilWhole();
  await shownDetached(volume);
  await attach(cluster, lvolid, other);
  const client = await openVolume(other, "data");
  await writeAll(client, 0, randomData("other", 8 * MIB));
  const snapshot = await openVolume(other, "then");
  expect((await snapshot.read(0, 8 * MIB)).equals(data)).toBe(true);
  await expectSound(cluster, lvolid, client, written.slice(1));
});
