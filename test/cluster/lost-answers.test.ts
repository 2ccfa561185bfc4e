import { expect, test } from "vitest";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { attach, createAttached } from "../harness/volumes.js";

// The client's own repetition over a fresh connection hides the first lost answer of a kept connection.
test("a detach whose answers were lost is still carried out within detach_timeout", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, gate: true });
  const head = cluster.heads[0] as TestServer;
  const lvolid = await createAttached(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  cluster.gate.loseAnswers({ method: "detachLogicalVolume" }, 2);
  const fault = await cluster.api("detachLogicalVolume", { lvolid }).then(() => "", String);
  expect(fault).toBe("");
});

test("an attach whose answers were lost is still carried out within attach_timeout", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, gate: true });
  const head = cluster.heads[0] as TestServer;
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: "data", capacity: 1, redundancy: 2 });
  cluster.gate.loseAnswers({ method: "attachLogicalVolume" }, 2);
  const fault = await attach(cluster, lvolid, head).then(() => "", String);
  expect(fault).toBe("");
});
