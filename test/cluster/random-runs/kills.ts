import { killAll } from "../../../cli/local/processes.js";
import type { TestCluster } from "../../harness/cluster.js";
import type { TestServer } from "../../harness/test-server.js";
import type { Random } from "../chaos/random.js";
import { bringUp } from "../chaos/world.js";

/** Kills processes of one server with SIGKILL. @returns what was killed. */
export async function killSomething(cluster: TestCluster, random: Random): Promise<string> {
  const server = random.pick([cluster.manager, cluster.manager, ...cluster.storage, ...cluster.heads]);
  if (server === undefined) throw new Error("there is no server");
  const { kind, name } = server.plan;
  const part = kind === "manager" ? 0 : random.between(0, 4);
  if (part <= 1) {
    await server.killControl();
    return `the control process of ${name}`;
  }
  if (part === 2) {
    await server.kill();
    return `all processes of ${name}`;
  }
  const child = random.pick(server.dataPathPids());
  await killAll(() => server.processes().filter(({ pid }) => pid === child));
  return `a data path process of ${name}`;
}

/** Starts every control process that is dead; they start, or find, what else there is. */
export async function reviveAll(cluster: TestCluster): Promise<void> {
  const dead = cluster.servers.filter((server: TestServer) => server.control().length === 0);
  for (const server of dead) await bringUp(server, cluster);
}
