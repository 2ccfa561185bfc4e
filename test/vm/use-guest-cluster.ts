import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject, onTestFinished } from "vitest";
import { seed } from "../harness/random-data.js";
import { GuestCluster, type GuestClusterOptions } from "./guest-cluster.js";

/**
 * Starts a cluster in a machine for the test that calls this; both end with the test. If it failed, the ends of all logs are
 * printed. If it did not, `vas check` must find nothing before that.
 */
export async function useGuestCluster(options: GuestClusterOptions): Promise<GuestCluster> {
  const folder = await mkdtemp(join(tmpdir(), "vas-vm-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const cluster = await GuestCluster.boot({ image: inject("machineImage"), folder }, options);
  onTestFinished(async ({ task }) => {
    try {
      if (task.result?.state !== "fail") await cluster.expectConsistent();
    } catch (error) {
      process.stderr.write(`${await reportOf(cluster)}\n`);
      throw error;
    } finally {
      if (task.result?.state === "fail")
        process.stderr.write(`${task.name} (VAS_SEED=${seed})\n${await reportOf(cluster)}\n`);
      await cluster.end();
    }
  });
  await cluster.start();
  return cluster;
}

/** A machine that is gone has a console. */
async function reportOf(cluster: GuestCluster): Promise<string> {
  const console = `--- console\n${cluster.machine.consoleTail()}`;
  try {
    return `${await cluster.logTails()}\n${console}`;
  } catch (error) {
    return `${console}\nlogs can't be read: ${String(error)}`;
  }
}
