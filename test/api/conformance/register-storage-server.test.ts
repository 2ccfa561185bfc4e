import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { expectRefusals, expectRefused } from "./refusals.js";
import { testLastServerIds, testServerRegistration } from "./server-registration.js";
import { patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 1, headServers: 1, manager: patient });
const method = "registerStorageServer";
const servers = testServerRegistration(cluster, { method, target: FailureTarget.SSVR, sequence: "ssvr" });

test("registerStorageServer takes an address that a head server has", async () => {
  const address = cluster().heads[0]?.plan.address ?? "";
  const ssvrid = await servers.register([address]);
  expect(await servers.find(ssvrid)).toMatchObject({ ip_data: [address] });
});

test("registerStorageServer registers a server without disks, and without a zone if none is given", async () => {
  const ssvrid = await servers.register(servers.addresses(1));
  expect(await cluster().api("listStorageServers", { ssvrid })).toMatchObject([
    { available: 0, capacity: 0, resync: 0, zone: "" },
  ]);
  expect(await cluster().api("listPhysicalDisks", { ssvrid })).toEqual([]);
});

test("registerStorageServer keeps the zone of a server until it names another one", async () => {
  const ip_data = servers.addresses(1);
  await expectRefusals(cluster(), method, [
    [{ ip_data, zone: 1 }, "EINVAL", "zone"],
    [{ ip_data, zone: "x".repeat(65) }, "EINVAL", "zone"],
  ]);
  const zone = "Zürich 'A', <rack 3>";
  const ssvrid = await cluster().api(method, { ip_data, zone });
  const again = { ip_data, boot_id: "boot" };
  for (const [params, expected] of [
    [again, zone],
    [{ ...again, zone: "x".repeat(64) }, "x".repeat(64)],
    [{ ...again, zone: "" }, ""],
  ] as const) {
    expect(await cluster().api(method, { ...params, ip_data: [...params.ip_data] })).toBe(ssvrid);
    expect(await cluster().api("listStorageServers", { ssvrid })).toMatchObject([{ zone: expected }]);
  }
});

test("registerStorageServer brings a server back, and leaves its disks OFFLINE until they register", async () => {
  const ip_data = servers.addresses(1);
  const ssvrid = await servers.register(ip_data);
  await cluster().api("registerPhysicalDisk", { ssvrid, local_path: "/dev/sdb", capacity: "16777216" });
  await servers.fail(ssvrid);
  await servers.register(ip_data);
  expect(await cluster().api("listPhysicalDisks", { ssvrid })).toMatchObject([
    { priority: Priority.OFFLINE },
  ]);
});

test("registerStorageServer makes a server that is HALT HIGH again, unless its agent has run all along", async () => {
  const ip_data = servers.addresses(1);
  const ssvrid = await servers.register(ip_data, { boot_id: "boot" });
  await cluster().api("shutdownAll", {});
  expect(await servers.register(ip_data, { boot_id: "boot", starting: false })).toBe(ssvrid);
  expect(await servers.find(ssvrid)).toMatchObject({ priority: Priority.HALT });
  expect(await servers.register(ip_data)).toBe(ssvrid);
  expect(await servers.find(ssvrid)).toMatchObject({ priority: Priority.HIGH });
  await expectRefused(cluster(), method, { ip_data }, "EEXIST");
});

testLastServerIds(cluster, servers);
