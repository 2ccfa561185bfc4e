import type { TestCluster } from "../../harness/cluster.js";

/** Sectors of 1 GB and its metadata on a disk; the label takes 2048 more. */
const UNIT = 2_099_200;
const LABEL = 2048;

/** Registers a disk that no agent has, so that nothing on it is ever shredded. @returns its id */
export function registerMadeUpDisk(
  cluster: TestCluster,
  ssvrid: number,
  { local_path, gigabytes = 4 }: { readonly local_path: string; readonly gigabytes?: number },
): Promise<number> {
  const capacity = String(gigabytes * UNIT + LABEL);
  return cluster.api("registerPhysicalDisk", { ssvrid, local_path, capacity });
}
