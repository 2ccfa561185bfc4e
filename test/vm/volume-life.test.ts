import { test } from "vitest";
import { MIB } from "../../shared/units.js";
import { liveVolumeLife } from "../scenarios/volume-life.js";
import { useGuestCluster } from "./use-guest-cluster.js";

test("a volume lives through the loss of two servers, a snapshot and a move, on the data plane kernel", async () => {
  const cluster = await useGuestCluster({ dataPlane: "kernel", diskGigabytes: 5 });
  await liveVolumeLife(cluster, { size: 8 * MIB, gigabytes: 1 });
});
