import { setTimeout as pause } from "node:timers/promises";
import { FailureTarget } from "../../../shared/states.js";
import { membersOf } from "../../harness/cluster.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { Random } from "./random.js";
import type { VolumeUser } from "./user.js";
import {
  duration,
  type Fault,
  faultOf,
  heads,
  ofServer,
  restartControl,
  SHORT,
  signal,
  storage,
  type World,
} from "./world.js";

/** What is declared failed, rightly or not, and volumes that are moved. */

export async function report(world: World, target: FailureTarget, targetid: number): Promise<boolean> {
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
    for (const { options, attachment } of users) {
      if (!volumes.some((volume) => volume.lvolid === options.lvolid && volume.hsvrid === hsvrid)) continue;
      attachment.preferred = random.pick(cluster.heads.filter((other) => other !== server));
      attachment.abandon("its head was fenced");
    }
  }
  await pause(duration(random));
  signal(frozen, "SIGCONT");
  await pause(random.between(...SHORT));
  await restartControl(server, world);
}

interface Move {
  /** Requests under way are not waited for. */
  readonly isImpatient?: boolean;
  /** It stays detached for a while. */
  readonly restMs?: number;
}

/** A volume is detached in order, if that can be had, and attached to another head. */
async function move(user: VolumeUser, world: World, { isImpatient, restMs = 0 }: Move): Promise<void> {
  const { cluster } = world;
  const { lvolid, name } = user.options;
  const { attachment } = user;
  user.hold();
  try {
    if (isImpatient !== true) await waitUntil("nothing is under way", () => user.quiet, 8000);
    attachment.rest = pause(restMs);
    await attachment.close();
    const before = (await cluster.api("listLogicalVolumes", { lvolid }))[0]?.hsvrid;
    await cluster.api("detachLogicalVolume", { lvolid });
    for (const head of cluster.heads) {
      if ((await cluster.headServerId(head)) !== before) attachment.preferred = head;
    }
    await attachment.rest;
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
  const nameOf = ({ options }: VolumeUser): string => options.name;
  return faultOf({ name, weight, things: ({ users }) => users, nameOf }, work);
}

export const reportFaults: readonly Fault[] = [
  ofServer("declare head failed", 2, heads, fence),
  ofServer("declare storage server failed", 1.5, storage, declareLost),
  ofVolume("declare extent failed", 2, loseExtent),
  ofVolume("move volume", 3, (user, world) => move(user, world, {})),
  ofVolume("move volume at once", 1, (user, world) => move(user, world, { isImpatient: true })),
  ofVolume("leave volume detached", 1, (user, world, random) =>
    move(user, world, { restMs: duration(random) }),
  ),
];
