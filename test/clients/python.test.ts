import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { TestServer } from "../harness/test-server.js";
import { runTool } from "../harness/tools.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";

const script = fileURLToPath(new URL("python/drive-manager.py", import.meta.url));

test("Python's xmlrpc.client drives a volume's life with the shapes of the API reference", async () => {
  const cluster = await useCluster({ storageServers: 3, diskGb: 8 });
  const hsvrid = await cluster.headServerId(cluster.heads[0] as TestServer);
  expect(await runTool("python3", [script, cluster.managerUrl, String(hsvrid)])).toContain(
    "all shapes are right",
  );
  await expectConsistent(cluster);
});
