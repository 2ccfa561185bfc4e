import { setTimeout as pause } from "node:timers/promises";
import { type LocalServer, logPath } from "./server.js";

const PERIOD_MS = 1000;

type Condition = "running" | "control process gone" | "gone";

function conditionOf(server: LocalServer): Condition {
  if (server.control().length > 0) return "running";
  return server.children().length > 0 ? "control process gone" : "gone";
}

const sentences: Record<Condition, string> = {
  running: "runs again",
  "control process gone": "lost its control process; its other processes go on",
  gone: "has ended, all of its processes",
};

/**
 * Tells when the processes of a server end or come back, whoever was the cause. Nothing is restarted: what was killed
 * on purpose is to stay away.
 */
export async function watchServers(
  servers: readonly LocalServer[],
  say: (line: string) => void,
  proceed: () => boolean,
): Promise<void> {
  const known = new Map(servers.map((server) => [server, conditionOf(server)]));
  while (proceed()) {
    await pause(PERIOD_MS);
    if (!proceed()) return;
    for (const server of servers) {
      const condition = conditionOf(server);
      if (known.get(server) === condition) continue;
      known.set(server, condition);
      const { name } = server.plan;
      const advice =
        condition === "running"
          ? ""
          : ` (its log: ${logPath(server.plan)}; bring it back: vas local start ${name})`;
      say(`${name} ${sentences[condition]}${advice}`);
    }
  }
}
