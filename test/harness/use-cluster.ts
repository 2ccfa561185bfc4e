import { onTestFinished } from "vitest";
import { TestCluster, type TestClusterOptions } from "./cluster.js";
import { expectConsistent } from "./consistent.js";
import { seed } from "./random-data.js";

/**
 * Starts a cluster for the test that calls this. However the test ends, the cluster is gone afterwards; if it failed,
 * the ends of its logs are printed. If it did not, `vas check` must find nothing before that, as far as servers can be asked.
 *
 * @param prepare what is to be done before the servers are started
 */
export async function useCluster(
  options: TestClusterOptions = {},
  prepare: (cluster: TestCluster) => void = () => undefined,
): Promise<TestCluster> {
  const cluster = await TestCluster.create(options);
  onTestFinished(async ({ task }) => {
    try {
      if (task.result?.state !== "fail") await expectConsistent(cluster);
    } catch (error) {
      report(`${task.name}: ${String(error)}`);
      throw error;
    } finally {
      if (task.result?.state === "fail") report(`${task.name} (VAS_SEED=${seed})\n${cluster.logTails()}`);
      await cluster.destroy();
    }
  });
  prepare(cluster);
  await cluster.start();
  return cluster;
}

function report(text: string): void {
  process.stderr.write(`${text}\n`);
}

export { expectConsistent };
