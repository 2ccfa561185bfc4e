import { createHash } from "node:crypto";
import { firstMismatch, writeAll } from "../harness/chunked-io.js";
import type { TestCluster } from "../harness/cluster.js";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent } from "../harness/use-cluster.js";
import { openVolume } from "../harness/volume-io.js";
import type { ScenarioCluster, ScenarioVolume } from "./scenario-cluster.js";

/** A cluster of processes of the data plane nbd, for a scenario. */
export function processCluster(cluster: TestCluster): ScenarioCluster {
  const storage = (id: number): Promise<TestServer> =>
    findServer(cluster.storage, (server) => cluster.storageServerId(server), id);
  return {
    api: cluster.api,
    lose: async (ssvrid) => (await storage(ssvrid)).kill(),
    regain: async (ssvrid) => {
      const server = await storage(ssvrid);
      server.up();
      await server.waitUntilAnswers();
    },
    open: async (hsvrid, name) => {
      const head = await findServer(cluster.heads, (server) => cluster.headServerId(server), hsvrid);
      return nbdVolume(await openVolume(head, name));
    },
    waitUntilWhole: (avoiding) => cluster.waitUntilWhole(avoiding),
    expectConsistent: () => expectConsistent(cluster),
  };
}

async function findServer(
  servers: readonly TestServer[],
  idOf: (server: TestServer) => Promise<number>,
  id: number,
): Promise<TestServer> {
  for (const server of servers) if ((await idOf(server)) === id) return server;
  throw new Error(`there is no server ${id}`);
}

function nbdVolume(client: NbdClient): ScenarioVolume {
  return {
    write: (offset, length, seed) => writeAll(client, offset, randomData(seed, length)),
    verify: async (offset, length, seed) => {
      const at = await firstMismatch(client, offset, randomData(seed, length));
      if (at !== undefined) throw new Error(`"${seed}" at ${offset} is not there from byte ${at} on`);
    },
    digest: async (offset, length) =>
      createHash("sha256")
        .update(await client.read(offset, length))
        .digest("hex"),
    flush: () => client.flush(),
    close: () => client.close(),
  };
}
