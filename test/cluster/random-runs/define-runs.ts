import { expect, test } from "vitest";
import type { TestCluster } from "../../harness/cluster.js";
import { seed } from "../../harness/random-data.js";
import { expectConsistent, useCluster } from "../../harness/use-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { reviveAll } from "./kills.js";
import { RandomRun } from "./run.js";

/** Lives under way at once: each waits for processes most of the time. */
const LANES = 3;
const TEST_MS = 1_800_000;

/**
 * Runs against the byte model on one cluster. VAS_SEED repeats them all, with VAS_RUN one of them alone.
 *
 * @param first number of the first run.
 */
export function defineRuns(first: number, count: number): void {
  const only = process.env.VAS_RUN === undefined ? undefined : Number(process.env.VAS_RUN);
  const runs = Array.from({ length: count }, (_, at) => first + at).filter((run) => (only ?? run) === run);
  test(
    `runs ${first} to ${first + count - 1}: what is read is what was written, whatever is killed (seed ${seed})`,
    async () => {
      const cluster = await useCluster({
        storageServers: 4,
        headServers: 2,
        diskGb: 40,
        manager: { replace_after: 30 },
      });
      const { available } = (await cluster.status()).capacity;
      const waiting = [...runs];
      let hasFailed = false;
      const lane = async (): Promise<void> => {
        for (let run = waiting.shift(); run !== undefined && !hasFailed; run = waiting.shift())
          await live(cluster, run).catch((error: unknown) => {
            hasFailed = true;
            throw error;
          });
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      await reviveAll(cluster);
      await waitUntil("all space is clean again", async () => {
        return (await cluster.status()).capacity.available === available;
      });
      await expectConsistent(cluster);
      expect((await cluster.status()).jobs).toEqual([]);
    },
    TEST_MS,
  );
}

async function live(cluster: TestCluster, run: number): Promise<void> {
  const life = new RandomRun(cluster, seed, run);
  try {
    await life.run();
  } catch (error) {
    process.stderr.write(`VAS_SEED=${seed} VAS_RUN=${run}\n${life.steps.join("\n")}\n`);
    throw error;
  }
}
