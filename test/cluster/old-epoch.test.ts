import { expect, test } from "vitest";
import { showDisk, showVolume } from "../../shared/ids.js";
import { BindStatus, FailureTarget } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { membersOf, mirrorsOf, type TestCluster } from "../harness/cluster.js";
import { differenceOf } from "../harness/disk-files.js";
import { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const FIRST_EPOCH = 1;
/** NBD_REP_ERR_POLICY, without the bit that marks an error. */
const REFUSED_BY_POLICY = 2;

/** Declares a head server failed and waits until its volume is free to be attached elsewhere. */
async function fence(cluster: TestCluster, head: TestServer, lvolid: number): Promise<void> {
  const targetid = await cluster.headServerId(head);
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid });
  await waitUntil("the volume is unbound", async () => {
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    return volume?.bind_status === BindStatus.UNBOUND && volume.bind_event === 0;
  });
}

test("a volume process that wakes up after it was fenced can't write any more", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2 });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const { lvolid, client: old } = await createOpened(cluster, {
    name: "data",
    gigabytes: 1,
    redundancy: 3,
    head: one,
  });
  await writeAll(old, 0, randomData("first", 8 * MIB));

  one.freeze();
  await fence(cluster, one, lvolid);
  await attach(cluster, lvolid, two);
  const current = await openVolume(two, "data");
  const data = randomData("second", 8 * MIB);
  await writeAll(current, 0, data);

  // The old process takes this from its socket as soon as it wakes up, and knows nothing of what happened.
  const late = old.write(0, randomData("late", MIB)).then(
    () => "written",
    () => "refused",
  );
  one.thaw();
  expect(await late).toBe("refused");
  expect(await firstMismatch(current, 0, data)).toBeUndefined();

  await current.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  for (const mirror of mirrorsOf(await cluster.api("showLogicalVolume", { lvolid }))) {
    expect(await differenceOf(cluster, mirror)).toBeUndefined();
  }
  await expectConsistent(cluster);
});

test("the disks' exports refuse an epoch that is closed", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2 });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const { lvolid, client } = await createOpened(cluster, {
    name: "data",
    gigabytes: 1,
    redundancy: 2,
    head: one,
  });
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  await attach(cluster, lvolid, two);

  for (const { lvolspec } of members) {
    const { hostname, port } = new URL(lvolspec.iscsi_path[0] ?? "");
    const name = `${showDisk(lvolspec.pdskid)}/${showVolume(lvolid)}/${FIRST_EPOCH}/1000`;
    await expect(NbdClient.connect({ host: hostname, port: Number(port) }, name)).rejects.toMatchObject({
      name: "NbdError",
      code: REFUSED_BY_POLICY,
    });
  }
  await expectConsistent(cluster);
});
