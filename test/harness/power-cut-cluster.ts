import { writeFileSync } from "node:fs";
import { confPath, renderConf } from "../../cli/local/server.js";
import type { TestCluster } from "./cluster.js";
import { cutPower, type Fate, powerCutEnvironment } from "./power-cut.js";
import type { TestServer } from "./test-server.js";

let boots = 0;

/** Before the servers are started: the disks of all storage servers can lose power. */
export function prepareForPowerCuts(cluster: TestCluster): void {
  for (const server of cluster.storage) server.moreEnvironment = powerCutEnvironment(server.plan.disks);
}

/**
 * A server loses power. When it is started again that is another boot.
 *
 * @param random what follows the server is as of `cutPower`
 */
export async function losePower(
  server: TestServer,
  random: (below: number) => number,
  fate?: Fate,
): Promise<void> {
  const { plan } = server;
  await server.kill();
  // A head has none.
  for (const disk of plan.disks) cutPower(disk, random, fate);
  boots += 1;
  const section = plan.kind === "head" ? "hsvr_agent" : "ssvr_agent";
  const boot_id = `boot after ${boots} losses of power`;
  writeFileSync(confPath(plan), renderConf({ ...plan.conf, [section]: { ...plan.conf[section], boot_id } }));
}
