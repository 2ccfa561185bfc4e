import { expect, test } from "vitest";
import { MIB } from "../../../shared/units.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { GuestCluster } from "../guest-cluster.js";
import { useGuestCluster } from "../use-guest-cluster.js";

const upServers = async (cluster: GuestCluster): Promise<number> =>
  (await cluster.status()).storage_servers.up;

test("in a machine a server that is cut off is down until it is mended, and a reset brings back what was durable", async () => {
  const cluster = await useGuestCluster({
    dataPlane: "nbd",
    storageServers: 2,
    headServers: 1,
    diskGigabytes: 3,
    manager: { replace_after: 600 },
  });
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 2 });
  const [head] = await cluster.api("listHeadServers", {});
  const hsvrid = head?.hsvrid ?? 0;
  await cluster.api("attachLogicalVolume", { lvolid, hsvrid });
  const volume = await cluster.open(hsvrid, "data");
  await volume.write(0, 4 * MIB, "both");

  const [cut] = cluster.storage;
  await cut?.cut();
  await waitUntil("the server is down", async () => (await upServers(cluster)) === 1);
  await volume.write(4 * MIB, 4 * MIB, "one");
  await volume.verify(0, 4 * MIB, "both");
  await cut?.mend();
  await waitUntil("the server is up", async () => (await upServers(cluster)) === 2);
  await cluster.waitUntilWhole();
  await volume.flush();

  await cluster.reset();
  await cluster.waitUntilUsable();
  expect((await cluster.machine.try("[ -S /run/vas/head-1/data ]")).code).toBe(1);
  await waitUntil("the volume is attached anew", async () => {
    await cluster.api("attachLogicalVolume", { lvolid, hsvrid });
    return true;
  });
  await volume.verify(0, 4 * MIB, "both");
  await volume.verify(4 * MIB, 4 * MIB, "one");
});
