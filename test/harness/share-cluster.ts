import { afterAll, afterEach, beforeAll } from "vitest";
import { TestCluster, type TestClusterOptions } from "./cluster.js";
import { expectConsistent } from "./consistent.js";
import { seed } from "./random-data.js";

/**
 * One cluster for all tests of the file that calls this: each works with volumes and servers of its own names. After a
 * test that failed the ends of the logs are printed; after the last one `vas check` must find nothing, and all is gone.
 *
 * @returns what gives the cluster, within tests.
 */
export function shareCluster(options: TestClusterOptions = {}): () => TestCluster {
  let shared: TestCluster | undefined;
  const cluster = (): TestCluster => {
    if (shared === undefined) throw new Error("the cluster is there in tests only");
    return shared;
  };
  beforeAll(async () => {
    shared = await TestCluster.create(options);
    await shared.start().catch((error: unknown) => {
      report("the cluster did not start", cluster());
      throw error;
    });
  });
  afterEach(({ task }) => {
    if (task.result?.state === "fail") report(task.name, cluster());
  });
  afterAll(async () => {
    try {
      await expectConsistent(cluster());
    } finally {
      await shared?.destroy();
    }
  });
  return cluster;
}

function report(what: string, cluster: TestCluster): void {
  process.stderr.write(`${what} (VAS_SEED=${seed})\n${cluster.logTails()}\n`);
}
