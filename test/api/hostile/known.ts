import type { TestCluster } from "../../harness/cluster.js";
import { HeapProbe } from "../../harness/heap-probe.js";
import type { TestServer } from "../../harness/test-server.js";
import { useCluster } from "../../harness/use-cluster.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";

/** What the hostile calls may refer to. */
export interface Known {
  readonly hsvrid: number;
  readonly headAddress: string;
  readonly storageAddress: string;
  /** A volume that is attached and has a snapshot. */
  readonly bound: string;
  /** A volume that is not attached. */
  readonly spare: string;
}

/** No id of anything, and whichever of its digits are left out, none of the few that there are. */
export const NOBODY = 999_999_999;

/** A cluster at rest whose manager's heap can be looked at. */
export async function hostileCluster(): Promise<{ cluster: TestCluster; known: Known; probe: HeapProbe }> {
  const probes: HeapProbe[] = [];
  // Nothing but the calls of a test is to make work for the manager.
  const manager = { agent_timeout: 30, server_check_interval: 3600, replace_after: 3600 };
  const options = { storageServers: 2, headServers: 1, diskGb: 8, manager };
  const cluster = await useCluster(options, ({ manager }) => probes.push(new HeapProbe(manager)));
  const [head, storage] = [cluster.heads[0], cluster.storage[0]] as [TestServer, TestServer];
  const [bound, spare] = ["bound", "spare"];
  const size = { capacity: 1, redundancy: 2 };
  const lvolid = await cluster.api("createLogicalVolume", { lvolname: bound, ...size });
  await cluster.api("createLogicalVolume", { lvolname: spare, ...size });
  await attach(cluster, lvolid, head);
  await cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: "snapshot" });
  await waitUntil("no job is left", async () => (await cluster.status()).jobs.length === 0);
  const known = {
    hsvrid: await cluster.headServerId(head),
    headAddress: head.plan.address,
    storageAddress: storage.plan.address,
    bound,
    spare,
  };
  return { cluster, known, probe: probes[0] as HeapProbe };
}
