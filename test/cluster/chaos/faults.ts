import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { sendSignal } from "../../../cli/local/processes.js";
import { confPath, renderConf } from "../../../cli/local/server.js";
import { FailureTarget } from "../../../shared/states.js";
import { membersOf, type TestCluster } from "../../harness/cluster.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { Random } from "./random.js";
import type { VolumeUser } from "./user.js";

/** What faults act on. A server under one fault is left alone by the others until that one is over. */
export interface World {
  readonly cluster: TestCluster;
  readonly users: readonly VolumeUser[];
  readonly busy: Set<unknown>;
  readonly note: (text: string) => void;
}

/** A fault under way: takes its servers at once, and resolves when all that it did is undone. */
type Course = Promise<void>;

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** @returns undefined if it is not possible now: what it needs is under another fault */
  readonly begin: (world: World, random: Random) => Course | undefined;
}

/** Of the harness: the configured member_timeout is 2 s, replace_after 6 s. */
const SHORT = [200, 1500] as const;
const LONG = [2500, 9000] as const;

function duration(random: Random): number {
  return random.chance(0.5) ? random.between(...SHORT) : random.between(...LONG);
}

/** Takes one thing that is free. */
function take<T>(world: World, random: Random, things: readonly T[]): T | undefined {
  const thing = random.pick(things.filter((candidate) => !world.busy.has(candidate)));
  if (thing !== undefined) world.busy.add(thing);
  return thing;
}

async function letGo(world: World, things: readonly unknown[], course: Promise<void>): Course {
  try {
    await course;
  } finally {
    for (const thing of things) world.busy.delete(thing);
  }
}

/** A fault of one server of a kind. */
function ofOne(
  name: string,
  weight: number,
  kind: (world: World) => readonly TestServer[],
  work: (server: TestServer, world: World, random: Random) => Promise<void>,
): Fault {
  const begin = (world: World, random: Random): Course | undefined => {
    const server = take(world, random, kind(world));
    if (server === undefined) return undefined;
    world.note(`${name}: ${server.plan.name}`);
    const course = work(server, world, random).then(() => world.note(`${name}: ${server.plan.name} is over`));
    return letGo(world, [server], course);
  };
  return { name, weight, begin };
}

const storage = ({ cluster }: World): readonly TestServer[] => cluster.storage;
const heads = ({ cluster }: World): readonly TestServer[] => cluster.heads;
const manager = ({ cluster }: World): readonly TestServer[] => [cluster.manager];

/** Starts the control process if none lives, and waits until it answers. */
export async function bringUp(server: TestServer, cluster: TestCluster): Promise<void> {
  server.thaw();
  if (server.control().length === 0) server.up();
  if (server === cluster.manager) await waitUntil("the manager answers", () => cluster.status());
  else await server.waitUntilAnswers();
}

async function downFor(server: TestServer, world: World, milliseconds: number): Promise<void> {
  await server.kill();
  await pause(milliseconds);
  await bringUp(server, world.cluster);
}

async function frozenFor(pids: readonly number[], milliseconds: number): Promise<void> {
  signal(pids, "SIGSTOP");
  await pause(milliseconds);
  signal(pids, "SIGCONT");
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Some of the processes of the data path: at least one if there are any. */
function some(server: TestServer, random: Random): number[] {
  const pids = server.dataPathPids();
  const one = random.pick(pids);
  return pids.filter((pid) => pid === one || random.chance(0.3));
}

/** Kills the control process, if it lives, and starts it anew: it registers as one that starts. */
async function restartControl(server: TestServer, world: World): Promise<void> {
  server.thaw();
  await server.killControl();
  await bringUp(server, world.cluster);
}

async function report(world: World, target: FailureTarget, targetid: number): Promise<boolean> {
  try {
    await world.cluster.api("notifyFailure", { target, targetid });
    return true;
  } catch (error) {
    world.note(`notifyFailure: ${String(error)}`);
    return false;
  }
}

/** A storage server is declared lost, dead or not; it comes back when its agent starts again. */
async function declareLost(server: TestServer, world: World, random: Random): Promise<void> {
  const kind = random.next();
  const ssvrid = await world.cluster.storageServerId(server).catch(() => undefined);
  if (kind < 0.3) await server.kill();
  else if (kind < 0.6) server.freeze();
  if (ssvrid !== undefined) await report(world, FailureTarget.SSVR, ssvrid);
  await pause(duration(random));
  await restartControl(server, world);
}

/** A head is declared failed while it, or only its volume processes, are dead, frozen or quite well. */
async function fence(server: TestServer, world: World, random: Random): Promise<void> {
  const { cluster, users } = world;
  const kind = random.next();
  const hsvrid = await cluster.headServerId(server).catch(() => undefined);
  const frozen =
    kind < 0.35 ? server.processes().map(({ pid }) => pid) : kind < 0.7 ? server.dataPathPids() : [];
  signal(frozen, "SIGSTOP");
  if (kind > 0.85) await server.kill();
  if (hsvrid !== undefined && (await report(world, FailureTarget.HSVR, hsvrid))) {
    const volumes = await cluster.api("listLogicalVolumes", {}).catch(() => []);
    for (const user of users) {
      if (!volumes.some((volume) => volume.lvolid === user.options.lvolid && volume.hsvrid === hsvrid))
        continue;
      user.preferred = cluster.heads.find((other) => other !== server);
      user.abandon("its head was fenced");
    }
  }
  await pause(duration(random));
  signal(frozen, "SIGCONT");
  await pause(random.between(...SHORT));
  await restartControl(server, world);
}

/** A volume is detached in order, if that can be had, and attached to the other head. */
async function move(user: VolumeUser, world: World, isImpatient: boolean): Promise<void> {
  const { cluster } = world;
  const { lvolid, name } = user.options;
  user.hold();
  try {
    if (!isImpatient) await waitUntil("nothing is under way", () => user.quiet, 8000);
    await user.close();
    const before = (await cluster.api("listLogicalVolumes", { lvolid }))[0]?.hsvrid;
    await cluster.api("detachLogicalVolume", { lvolid });
    for (const head of cluster.heads) {
      if ((await cluster.headServerId(head)) !== before) user.preferred = head;
    }
  } catch (error) {
    world.note(`move ${name}: ${String(error)}`);
  } finally {
    user.release();
  }
}

async function loseExtent(user: VolumeUser, world: World, random: Random): Promise<void> {
  const volume = await world.cluster
    .api("showLogicalVolume", { lvolid: user.options.lvolid })
    .catch(() => undefined);
  const extent = volume && random.pick(membersOf(volume));
  if (extent !== undefined) await report(world, FailureTarget.LVOL, extent.lvolid);
}

function ofVolume(
  name: string,
  weight: number,
  work: (user: VolumeUser, world: World, random: Random) => Promise<void>,
): Fault {
  const begin = (world: World, random: Random): Course | undefined => {
    const user = take(world, random, world.users);
    if (user === undefined) return undefined;
    world.note(`${name}: ${user.options.name}`);
    const course = work(user, world, random).then(() => world.note(`${name}: ${user.options.name} is over`));
    return letGo(world, [user], course);
  };
  return { name, weight, begin };
}

/** All storage servers at once: nothing can be read or written until they are back, and nothing may be lost. */
const blackOut: Fault = {
  name: "kill all storage servers",
  weight: 1,
  begin: (world, random) => {
    const servers = world.cluster.storage;
    if (servers.some((server) => world.busy.has(server))) return undefined;
    for (const server of servers) world.busy.add(server);
    world.note("kill all storage servers");
    const times = servers.map(() => random.between(...SHORT));
    const course = Promise.all(servers.map((server, index) => downFor(server, world, times[index] ?? 0)));
    return letGo(
      world,
      servers,
      course.then(() => world.note("kill all storage servers is over")),
    );
  },
};

/**
 * A storage server that seems to have been restarted: what was not flushed counts as lost there, although it is not. A
 * last good copy then answers EIO until its volume is attached anew.
 */
const reboot: Fault = {
  name: "restart storage server with another boot id",
  weight: 2,
  begin: (world, random) => {
    const server = take(world, random, world.cluster.storage);
    if (server === undefined) return undefined;
    const milliseconds = duration(random);
    world.note(`reboot: ${server.plan.name}`);
    for (const user of world.users) user.expectLostWrites();
    const work = async (): Promise<void> => {
      await server.kill();
      const ssvr_agent = { ...server.plan.conf.ssvr_agent, boot_id: `boot-${random.between(1, 1_000_000)}` };
      writeFileSync(confPath(server.plan), renderConf({ ...server.plan.conf, ssvr_agent }));
      await pause(milliseconds);
      await bringUp(server, world.cluster);
      world.note(`reboot: ${server.plan.name} is over`);
    };
    return letGo(world, [server], work());
  },
};

export const faults: readonly Fault[] = [
  reboot,
  ofOne("kill storage server", 4, storage, (server, world, random) =>
    downFor(server, world, duration(random)),
  ),
  ofOne("kill storage server until it is replaced", 1, storage, (server, world, random) =>
    downFor(server, world, random.between(8000, 14_000)),
  ),
  ofOne("freeze storage server", 4, storage, (server, _, random) =>
    frozenFor(
      server.processes().map(({ pid }) => pid),
      duration(random),
    ),
  ),
  ofOne("kill exports", 4, storage, async (server, _, random) => signal(some(server, random), "SIGKILL")),
  ofOne("freeze exports", 4, storage, (server, _, random) =>
    frozenFor(some(server, random), duration(random)),
  ),
  ofOne("kill storage control", 3, storage, async (server, world, random) => {
    await server.killControl();
    await pause(duration(random));
    await bringUp(server, world.cluster);
  }),
  ofOne("kill storage control, then its export", 2, storage, async (server, world, random) => {
    await server.killControl();
    await pause(random.between(...SHORT));
    signal(server.dataPathPids(), "SIGKILL");
    await pause(duration(random));
    await bringUp(server, world.cluster);
  }),
  ofOne("declare storage server lost", 3, storage, declareLost),
  ofOne("kill head control", 3, heads, async (server, world, random) => {
    await server.killControl();
    await pause(duration(random));
    await bringUp(server, world.cluster);
  }),
  ofOne("kill volume processes", 5, heads, async (server, _, random) =>
    signal(some(server, random), "SIGKILL"),
  ),
  ofOne("freeze volume processes", 4, heads, (server, _, random) =>
    frozenFor(some(server, random), duration(random)),
  ),
  ofOne("kill head", 2, heads, (server, world, random) => downFor(server, world, duration(random))),
  ofOne("freeze head", 2, heads, (server, _, random) =>
    frozenFor(
      server.processes().map(({ pid }) => pid),
      duration(random),
    ),
  ),
  ofOne("fence head", 5, heads, fence),
  ofOne("kill manager", 4, manager, (server, world, random) =>
    downFor(server, world, random.between(100, 4000)),
  ),
  ofOne("freeze manager", 2, manager, (server, _, random) =>
    frozenFor(
      server.processes().map(({ pid }) => pid),
      duration(random),
    ),
  ),
  ofOne("restart manager", 2, manager, async (server, world) => {
    sendSignal(server.control(), "SIGTERM");
    await waitUntil("the manager has ended", () => server.control().length === 0);
    await bringUp(server, world.cluster);
  }),
  ofVolume("move", 5, (user, world) => move(user, world, false)),
  ofVolume("move at once", 2, (user, world) => move(user, world, true)),
  ofVolume("declare an extent lost", 3, loseExtent),
  blackOut,
];
