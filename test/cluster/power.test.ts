import { expect, test } from "vitest";
import { BindStatus } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import type { TestCluster } from "../harness/cluster.js";
import { isInSyncOn } from "../harness/members.js";
import { losePower, prepareForPowerCuts } from "../harness/power-cut-cluster.js";
import { randomData, seed } from "../harness/random-data.js";
import { SectorModel } from "../harness/sector-model.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";
import { generator } from "../volume/generator.js";

const LENGTH = 4 * MIB;
const options = { storageServers: 3, diskGb: 4, manager: { replace_after: 600 } };

/** Brings a volume whose head lost power back to service. */
async function attachAnew(cluster: TestCluster, lvolid: number, head: TestServer): Promise<void> {
  await waitUntil("the volume is attached anew", async () => {
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    if (volume?.bind_status !== BindStatus.UNBOUND) await cluster.api("detachLogicalVolume", { lvolid });
    await attach(cluster, lvolid, head);
    return true;
  });
}

test.each([
  { who: "all storage servers and the head", count: 3 },
  { who: "one storage server and the head", count: 1 },
])(
  `$who lose power: what a FLUSH or FUA made durable is there, and so is a snapshot (R5, R6, R9; seed ${seed})`,
  async ({ count }) => {
    const cluster = await useCluster(options, prepareForPowerCuts);
    const head = cluster.heads[0] as TestServer;
    const { lvolid, client } = await createOpened(cluster, {
      name: "data",
      gigabytes: 1,
      redundancy: 3,
      head,
    });
    const random = generator(seed);
    const model = new SectorModel();
    const before = randomData("before", LENGTH);
    const first = model.begin(0, before);
    await writeAll(client, 0, before);
    model.acknowledge(first, false);
    // It flushes the volume.
    await cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: "s" });
    model.acknowledge(first, true);
    const change = async (name: string, fua: boolean): Promise<void> => {
      const offset = 4096 * random(LENGTH / 4096 - 16);
      const data = randomData(name, 4096 * (1 + random(16)));
      const begun = model.begin(offset, data);
      await client.write(offset, data, { fua });
      model.acknowledge(begun, fua);
    };
    for (let turn = 0; turn < 40; turn += 1) await change(`flushed ${turn}`, false);
    const flushed = model.flush();
    await client.flush();
    flushed();
    for (let turn = 0; turn < 40; turn += 1) await change(`later ${turn}`, turn % 4 === 0);

    const victims = [...cluster.storage.slice(0, count), head];
    await Promise.all(victims.map((server, at) => losePower(server, generator(seed + at))));
    for (const server of victims) server.up();
    await attachAnew(cluster, lvolid, head);
    const again = await openVolume(head, "data");
    const read = await again.read(0, LENGTH);
    expect(model.afterPowerLoss(0, read)).toBeUndefined();
    expect(await firstMismatch(await openVolume(head, "s"), 0, before)).toBeUndefined();
    const next = randomData("next", LENGTH);
    await writeAll(again, LENGTH, next);
    await expectSound(cluster, lvolid, again, [
      { offset: 0, data: read },
      { offset: LENGTH, data: next },
    ]);
  },
);

test("a storage server that loses power is not in sync any more, and is given what it lost (R5)", async () => {
  const cluster = await useCluster({ ...options, gate: true }, prepareForPowerCuts);
  const head = cluster.heads[0] as TestServer;
  const lost = cluster.storage[1] as TestServer;
  const { lvolid, client } = await createOpened(cluster, {
    name: "data",
    gigabytes: 1,
    redundancy: 3,
    head,
  });
  const data = randomData("unflushed", LENGTH);
  await writeAll(client, 0, data);
  // What it would catch up with is held back, so that its state can be seen.
  const resyncs = cluster.gate.hold({ method: "replaceMirrorDisk" });
  await losePower(lost, generator(seed), "nothing was kept");
  lost.up();
  await waitUntil("its copy does not count", async () => !(await isInSyncOn(cluster, lvolid, lost)));
  await writeAll(client, LENGTH, data);
  await resyncs.release();
  await expectSound(
    cluster,
    lvolid,
    client,
    [0, LENGTH].map((offset) => ({ offset, data })),
  );
});
