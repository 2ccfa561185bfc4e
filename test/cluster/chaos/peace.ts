import { closeSync, openSync, readSync } from "node:fs";
import { expect } from "vitest";
import { FailureTarget, MemberStatus, Priority } from "../../../shared/states.js";
import { GIB } from "../../../shared/units.js";
import { mirrorsOf } from "../../harness/cluster.js";
import { type ExtentFile, extentFiles } from "../../harness/disk-files.js";
import { compareMembers } from "../../harness/sound.js";
import { expectConsistent } from "../../harness/use-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { CELL_BYTES } from "./cells.js";
import { contentOf, exchange, listedDisk } from "./disks.js";
import { AREA_CELLS, type VolumeUser } from "./user.js";
import { bringUp, type World } from "./world.js";

/**
 * Whether a volume that is attached nowhere gets whole by itself. Where it does not, every volume is attached before the
 * cluster has to be healthy.
 */
const DETACHED_VOLUMES_HEAL = true;
const ANSWERED_MS = 240_000;
const HEALED_MS = 300_000;
const USABLE_MS = 240_000;

/** All faults are over: the cluster heals by itself, and everything is compared with what it must hold. */
export async function makePeace(
  world: World,
  using: Promise<unknown>,
  say: (text: string) => void,
): Promise<void> {
  const { cluster, users } = world;
  const began = performance.now();
  const note = (text: string): void => {
    world.note(text);
    say(`  ${text} (${((performance.now() - began) / 1000).toFixed(0)} s)`);
  };
  note("peace");
  await restore(world);
  note("all servers are up");
  for (const user of users) user.hold();
  await waitUntil("every request is answered", () => users.every(({ quiet }) => quiet), ANSWERED_MS).catch(
    (error: unknown) => {
      const waiting = users.filter(({ quiet }) => !quiet).map(({ options }) => options.name);
      throw new Error(`STUCK: volumes ${waiting.join(", ")} do not answer`, { cause: error });
    },
  );
  for (const user of users) user.stop();
  await using;
  note("every request is answered");
  await Promise.all(users.map((user) => user.revive()));
  // Besides those that were meant to fail: reads that failed for a while may have made a shred give its disk up.
  await exchangeBadDisks(world);
  if (DETACHED_VOLUMES_HEAL) await waitUntilWhole(world);
  await Promise.all(users.map(({ attachment }) => attachment.connected()));
  await Promise.all(users.map((user) => user.verify()));
  await Promise.all(users.map(({ snapshots }) => snapshots.verify()));
  note("all volumes and snapshots read as they should");
  await waitUntilWhole(world);
  note("healthy");
  for (const user of users) await detach(user);
  for (const user of users) await compareVolume(world, user);
  await expectConsistent(cluster);
  note("all members hold what they should, and the state is consistent");
}

/** Every server runs and is in use again. */
async function restore({ cluster, note }: World): Promise<void> {
  for (const server of cluster.servers) await bringUp(server, cluster);
  const isInUse = async (): Promise<boolean> => {
    const { head_servers, storage_servers } = await cluster.status();
    return [head_servers, storage_servers].every(({ total, up }) => total === up);
  };
  await waitUntil("all servers are in use", isInUse, USABLE_MS).catch(async (error: unknown) => {
    note(`not all servers are in use: ${JSON.stringify((await cluster.status()).notices)}`);
    throw error;
  });
}

/** Disks that were found to be faulty on the way, and those with bad blocks: their operator sees them in the list. */
async function exchangeBadDisks(world: World): Promise<void> {
  const bad = [];
  for (const disk of world.disks) {
    const { priority, pdskid } = await listedDisk(world, disk);
    if (priority === Priority.HIGH) continue;
    await world.cluster.api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
    bad.push(disk);
  }
  await Promise.all(bad.map((disk) => exchange(disk, world)));
}

async function waitUntilWhole({ cluster }: World): Promise<void> {
  const look = async (): Promise<boolean> => {
    const { healthy, volumes, jobs } = await cluster.status();
    return healthy && volumes.degraded === 0 && jobs.length === 0;
  };
  await waitUntil("the cluster is healthy and no job is left", look, HEALED_MS).catch(
    async (error: unknown) => {
      const { notices, jobs, volumes } = await cluster.status();
      throw new Error(`STUCK: not healed: ${JSON.stringify({ notices, volumes, jobs }, null, 1)}`, {
        cause: error,
      });
    },
  );
}

async function detach({ attachment, options }: VolumeUser): Promise<void> {
  await attachment.close();
  await waitUntil(`volume ${options.name} is detached`, async () => {
    return (await options.cluster.api("detachLogicalVolume", { lvolid: options.lvolid })) === 0;
  });
}

/** Each member by itself holds every acknowledged write, and all of them have the same bytes everywhere. */
async function compareVolume(world: World, user: VolumeUser): Promise<void> {
  const { cluster } = world;
  const { lvolid, name } = user.options;
  let start = 0;
  for (const mirror of mirrorsOf(await cluster.api("showLogicalVolume", { lvolid }))) {
    const where = `mirror ${mirror.lvolid} of volume ${name}, members ${JSON.stringify(mirror.components.map(({ lvolid: dextid, mirror_status, lvolspec }) => ({ dextid, mirror_status, ...lvolspec })))}`;
    expect(
      mirror.components.every(({ mirror_status }) => mirror_status === MemberStatus.INSYNC),
      where,
    ).toBe(true);
    const end = start + mirror.capacity * GIB;
    for (const file of await extentFiles(cluster, mirror.components))
      expect(
        compareMember({ ...file, path: contentOf(world, file.path) }, user, { start, end }),
        where,
      ).toEqual([]);
    expect(await compareMembers(cluster, mirror, (path) => contentOf(world, path)), where).toBe("");
    start = end;
  }
}

/** @param mirror where it begins and ends in the volume, in bytes */
function compareMember(
  { path, place, dextid }: ExtentFile,
  { areas, history }: VolumeUser,
  mirror: { readonly start: number; readonly end: number },
): string[] {
  const file = openSync(path, "r");
  try {
    return areas.flatMap((area) => {
      const first = Math.max(area, mirror.start / CELL_BYTES);
      const count = Math.min(area + AREA_CELLS, mirror.end / CELL_BYTES) - first;
      if (count <= 0) return [];
      const data = Buffer.alloc(count * CELL_BYTES);
      readSync(file, data, 0, data.length, place.dataStart + first * CELL_BYTES - mirror.start);
      const wrong = history.endRead(history.beginRead(first, count), data);
      return wrong.map((text) => `extent ${dextid} (${path}): ${text}`);
    });
  } finally {
    closeSync(file);
  }
}
