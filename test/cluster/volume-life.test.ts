import { test } from "vitest";
import { MIB } from "../../shared/units.js";
import { useCluster } from "../harness/use-cluster.js";
import { processCluster } from "../scenarios/process-cluster.js";
import { liveVolumeLife } from "../scenarios/volume-life.js";

test("a volume lives through the loss of two servers, a snapshot and a move, on the data plane nbd", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2, diskGb: 5 });
  await liveVolumeLife(processCluster(cluster), { size: 16 * MIB, gigabytes: 2 });
});
