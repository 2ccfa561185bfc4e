import type { TestCluster } from "./cluster.js";

/**
 * Everything that the API shows of the state, to be compared with what it shows later. Space that is being shredded becomes
 * free by itself and is left out; `vas check` adds up the space.
 */
export async function shownState(cluster: TestCluster) {
  const volumes = await cluster.api("listLogicalVolumes", {});
  const storage = await cluster.api("listStorageServers", {});
  const disks = await cluster.api("listPhysicalDisks", {});
  return {
    volumes,
    trees: await Promise.all(volumes.map(({ lvolid }) => cluster.api("showLogicalVolume", { lvolid }))),
    heads: await cluster.api("listHeadServers", {}),
    storage: storage.map(({ available: _, ...rest }) => rest),
    disks: disks.map(({ available, unshredded, ...rest }) => ({ ...rest, space: available + unshredded })),
  };
}
