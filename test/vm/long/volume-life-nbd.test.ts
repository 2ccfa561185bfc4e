import { test } from "vitest";
import { MIB } from "../../../shared/units.js";
import { liveVolumeLife } from "../../scenarios/volume-life.js";
import { useGuestCluster } from "../use-guest-cluster.js";

// What the kernel does not do is the same on both data planes: where this passes and the kernel's does not, it is the kernel's half.
test("a volume lives through the same on the data plane nbd, in a machine", async () => {
  const cluster = await useGuestCluster({ dataPlane: "nbd" });
  await liveVolumeLife(cluster, { size: 8 * MIB, gigabytes: 1 });
});
