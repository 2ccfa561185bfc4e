import { setTimeout as pause } from "node:timers/promises";
import { sendSignal } from "../../../cli/local/processes.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { Random } from "./random.js";
import {
  bringUp,
  duration,
  during,
  type Fault,
  giveBootId,
  heads,
  manager,
  ofServer,
  restartControl,
  SHORT,
  signal,
  storage,
  type World,
} from "./world.js";

/** Processes and whole servers are killed, frozen and started again. */

async function downFor(server: TestServer, world: World, milliseconds: number): Promise<void> {
  await server.kill();
  await pause(milliseconds);
  await bringUp(server, world.cluster);
}

async function controlDownFor(server: TestServer, world: World, random: Random): Promise<void> {
  await server.killControl();
  await pause(duration(random));
  await bringUp(server, world.cluster);
}

async function frozenFor(pids: readonly number[], milliseconds: number): Promise<void> {
  signal(pids, "SIGSTOP");
  await pause(milliseconds);
  signal(pids, "SIGCONT");
}

const allOf = (server: TestServer): number[] => server.processes().map(({ pid }) => pid);
const controlOf = (server: TestServer): number[] => server.control().map(({ pid }) => pid);

/** Some of the processes of the data path: at least one if there are any. */
function some(server: TestServer, random: Random): number[] {
  const pids = server.dataPathPids();
  const one = random.pick(pids);
  return pids.filter((pid) => pid === one || random.chance(0.3));
}

/**
 * A server that seems to have been restarted. At a storage server, what was not flushed counts as lost, although it is not; a
 * last good copy then answers EIO until its volume is attached anew.
 */
async function reboot(server: TestServer, world: World, random: Random): Promise<void> {
  if (server.plan.kind === "storage") world.failures.expect();
  await server.kill();
  giveBootId(server, random);
  await pause(duration(random));
  await bringUp(server, world.cluster);
  if (server.plan.kind === "storage") world.failures.expect();
}

/** All storage servers at once: nothing can be read or written until they are back, and nothing may be lost. */
const blackOut: Fault = {
  name: "kill all storage servers",
  weight: 0.3,
  begin: (world, random) => {
    const servers = world.cluster.storage;
    if (servers.some((server) => world.busy.has(server))) return undefined;
    const times = servers.map(() => random.between(...SHORT));
    return during(world, servers, "kill all storage servers", async () => {
      await Promise.all(servers.map((server, index) => downFor(server, world, times[index] ?? 0)));
    });
  },
};

export const processFaults: readonly Fault[] = [
  ofServer("kill manager", 3, manager, (server, world, random) =>
    downFor(server, world, random.between(100, 4000)),
  ),
  ofServer("restart manager", 1, manager, async (server, world) => {
    sendSignal(server.control(), "SIGTERM");
    await waitUntil("the manager has ended", () => server.control().length === 0);
    await bringUp(server, world.cluster);
  }),
  ofServer("kill head control", 3, heads, controlDownFor),
  ofServer("kill storage control", 3, storage, controlDownFor),
  ofServer("kill volume processes", 4, heads, async (server, _, random) =>
    signal(some(server, random), "SIGKILL"),
  ),
  ofServer("kill disk exports", 4, storage, async (server, _, random) =>
    signal(some(server, random), "SIGKILL"),
  ),
  ofServer("kill storage control, then exports", 1, storage, async (server, world, random) => {
    await server.killControl();
    await pause(random.between(...SHORT));
    signal(server.dataPathPids(), "SIGKILL");
    await pause(duration(random));
    await bringUp(server, world.cluster);
  }),
  ofServer("freeze manager", 2, manager, (server, _, random) => frozenFor(allOf(server), duration(random))),
  ofServer("freeze head control", 2, heads, (server, _, random) =>
    frozenFor(controlOf(server), duration(random)),
  ),
  ofServer("freeze storage control", 2, storage, (server, _, random) =>
    frozenFor(controlOf(server), duration(random)),
  ),
  ofServer("freeze volume processes", 3, heads, (server, _, random) =>
    frozenFor(some(server, random), duration(random)),
  ),
  ofServer("freeze disk exports", 3, storage, (server, _, random) =>
    frozenFor(some(server, random), duration(random)),
  ),
  ofServer("freeze storage server", 2, storage, (server, _, random) =>
    frozenFor(allOf(server), duration(random)),
  ),
  ofServer("freeze head", 1, heads, (server, _, random) => frozenFor(allOf(server), duration(random))),
  ofServer("kill storage server", 2, storage, (server, world, random) =>
    downFor(server, world, duration(random)),
  ),
  ofServer("kill storage server until replaced", 0.5, storage, (server, world, random) =>
    downFor(server, world, random.between(8000, 14_000)),
  ),
  ofServer("kill head", 1, heads, (server, world, random) => downFor(server, world, duration(random))),
  ofServer("reboot storage server", 2, storage, reboot),
  ofServer("reboot head", 1, heads, reboot),
  ofServer("restart storage control", 1, storage, (server, world) => restartControl(server, world)),
  blackOut,
];
