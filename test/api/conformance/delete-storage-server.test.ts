import { expect, test } from "vitest";
import { FailureTarget } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { testCopyDeletion } from "./deleted-copies.js";
import { testDeletion } from "./deletions.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { MadeUpServers } from "./server-registration.js";
import { patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 4, diskGb: 2, gate: true, manager: patient });
const method = "deleteStorageServer";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);

testDeletion(cluster, {
  method,
  member: "ssvrid",
  target: FailureTarget.SSVR,
  table: "storage_server",
  what: "storage server",
  make: () => servers.register(servers.addresses(1)),
  ids: async () => (await cluster().api("listStorageServers", {})).map(({ ssvrid }) => ssvrid),
});

test("deleteStorageServer takes its disks along, also those that were FAULTY, and no others", async () => {
  const ip_data = servers.addresses(2);
  const ssvrid = await servers.register(ip_data);
  const disks = await cluster().api("listPhysicalDisks", {});
  await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdb" });
  const faulty = await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/sdc" });
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: faulty });
  await servers.fail(ssvrid);
  expect(await cluster().api(method, { ssvrid })).toBe(0);
  expect(await cluster().api("listPhysicalDisks", {})).toEqual(disks);
  // Its addresses are free, and whoever registers with them is new.
  expect(await servers.register(ip_data)).toBeGreaterThan(ssvrid);
});

testCopyDeletion(cluster, { method, target: FailureTarget.SSVR, member: "ssvrid" });
