import { MemberStatus } from "../../shared/states.js";
import { membersOf, type TestCluster } from "./cluster.js";
import type { TestServer } from "./test-server.js";

/** Ids of a volume's extents, in order. */
export async function extentIds(cluster: TestCluster, lvolid: number): Promise<number[]> {
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  return members.map((extent) => extent.lvolid).sort((a, b) => a - b);
}

/** Whether the manager lists a member of the volume on this server as INSYNC. */
export async function isInSyncOn(cluster: TestCluster, lvolid: number, server: TestServer): Promise<boolean> {
  const ssvrid = await cluster.storageServerId(server);
  return membersOf(await cluster.api("showLogicalVolume", { lvolid })).some(
    (extent) => extent.lvolspec.ssvrid === ssvrid && extent.mirror_status === MemberStatus.INSYNC,
  );
}
