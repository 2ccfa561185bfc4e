import { membersOf, type TestCluster } from "./cluster.js";
import type { NbdClient } from "./nbd-client.js";
import type { TestServer } from "./test-server.js";
import { openVolume } from "./volume-io.js";

export interface NewVolume {
  readonly name: string;
  readonly gigabytes: number;
  readonly redundancy: number;
  /** Where it is attached. */
  readonly head: TestServer;
}

/** Creates a volume and attaches it. */
export async function createAttached(cluster: TestCluster, volume: NewVolume): Promise<number> {
  const { name: lvolname, gigabytes: capacity, redundancy } = volume;
  const lvolid = await cluster.api("createLogicalVolume", { lvolname, capacity, redundancy });
  await attach(cluster, lvolid, volume.head);
  return lvolid;
}

export async function attach(cluster: TestCluster, lvolid: number, head: TestServer): Promise<void> {
  await cluster.api("attachLogicalVolume", { lvolid, hsvrid: await cluster.headServerId(head) });
}

/** Creates a volume, attaches it and opens it. */
export async function createOpened(
  cluster: TestCluster,
  volume: NewVolume,
): Promise<{ readonly lvolid: number; readonly client: NbdClient }> {
  const lvolid = await createAttached(cluster, volume);
  return { lvolid, client: await openVolume(volume.head, volume.name) };
}

/** A storage server that holds a member of the volume's first mirror: losing it hurts. */
export async function serverOfFirstMirror(
  cluster: TestCluster,
  lvolid: number,
): Promise<{ readonly id: number; readonly server: TestServer }> {
  const id = membersOf(await cluster.api("showLogicalVolume", { lvolid }))[0]?.lvolspec.ssvrid ?? 0;
  for (const server of cluster.storage) {
    if ((await cluster.storageServerId(server)) === id) return { id, server };
  }
  throw new Error(`there is no storage server ${id}`);
}
