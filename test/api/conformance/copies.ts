import type { ExtentNode } from "../../../shared/layout-tree.js";
import { Priority } from "../../../shared/states.js";
import { membersOf, type TestCluster } from "../../harness/cluster.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import { infoOf } from "./volumes.js";

/** Where the copies of a volume are, and the servers that have them. */
export async function copiesOf(cluster: TestCluster, lvolid: number): Promise<ExtentNode[]> {
  return membersOf(await cluster.api("showLogicalVolume", { lvolid }));
}

/** The first copy of a volume of one mirror, and the second. */
export async function twoCopiesOf(
  cluster: TestCluster,
  lvolid: number,
): Promise<readonly [ExtentNode, ExtentNode]> {
  const [first, second] = await copiesOf(cluster, lvolid);
  if (first === undefined || second === undefined)
    throw new Error(`volume ${lvolid} has less than two copies`);
  return [first, second];
}

export async function waitUntilSound(cluster: TestCluster, lvolid: number): Promise<void> {
  await waitUntil(
    `all copies of volume ${lvolid} are good`,
    async () => !(await infoOf(cluster, lvolid)).fault,
  );
}

/** The server of this id among those that have an agent. */
export async function storageServerOf(cluster: TestCluster, ssvrid: number): Promise<TestServer> {
  const [info] = await cluster.api("listStorageServers", { ssvrid });
  const server = cluster.storage.find(({ plan }) => info?.ip_data.includes(plan.address));
  if (server === undefined) throw new Error(`storage server ${ssvrid} has no agent`);
  return server;
}

/** Starts the agent of a storage server anew, as after a reboot, and waits until it and its disks are in use. */
export async function restartStorageServer(cluster: TestCluster, ssvrid: number): Promise<void> {
  const server = await storageServerOf(cluster, ssvrid);
  await server.killControl();
  server.up();
  await waitUntil(`storage server ${ssvrid} and its disks are in use`, async () => {
    const servers = await cluster.api("listStorageServers", { ssvrid });
    const disks = await cluster.api("listPhysicalDisks", { ssvrid });
    return [...servers, ...disks].every(({ priority }) => priority === Priority.HIGH);
  });
}
