import { setTimeout as pause } from "node:timers/promises";
import { FailureTarget } from "../../../shared/states.js";
import type { DiskFaults } from "../../harness/faulty-disk.js";
import type { SmallFileSystem } from "../../harness/full-disk.js";
import { waitUntil } from "../../harness/wait-until.js";
import { type ChaosDisk, exchange, failFor, listedDisk, nameOfDisk } from "./disks.js";
import type { Random } from "./random.js";
import { report } from "./report-faults.js";
import { duration, type Fault, faultOf, type World } from "./world.js";

/** Disks are slow, hang, fail for a while or for good, and get full. */

const faulty = ({ disks }: World): readonly ChaosDisk[] => disks.filter((disk) => disk.faulty !== undefined);

function failing(name: string, weight: number, faults: DiskFaults | ((random: Random) => DiskFaults)): Fault {
  return faultOf({ name, weight, things: faulty, nameOf: nameOfDisk }, (disk, world, random) =>
    failFor(disk, world, typeof faults === "function" ? faults(random) : faults, duration(random)),
  );
}

/** Disks that die for good at the same time: others must have room for what they held. */
const MOST_DEAD = 2;

/** Disks that may die for good now. */
function mortal(world: World): readonly ChaosDisk[] {
  const dead = world.disks.filter((disk) => world.busy.has(deathOf(disk))).length;
  return dead < MOST_DEAD ? world.disks.filter((disk) => !world.busy.has(deathOf(disk))) : [];
}

const deathOf = (disk: ChaosDisk): string => `death of ${disk.path}`;

function dying(name: string, weight: number, work: typeof exchangeBroken): Fault {
  return faultOf(
    { name, weight, isLong: true, things: mortal, nameOf: nameOfDisk },
    async (disk, world, random) => {
      world.busy.add(deathOf(disk));
      try {
        await work(disk, world, random);
      } finally {
        world.busy.delete(deathOf(disk));
      }
    },
  );
}

/** Reported as failed, and exchanged for another as soon as nothing depends on it any more. */
async function exchangeFailed(disk: ChaosDisk, world: World): Promise<void> {
  const { pdskid } = await waitUntil("the disk is listed", () => listedDisk(world, disk));
  await waitUntil("the failure is reported", () => report(world, FailureTarget.PDSK, pdskid));
  await exchange(disk, world);
}

async function exchangeBroken(disk: ChaosDisk, world: World, random: Random): Promise<void> {
  await failFor(
    disk,
    world,
    { reads: "EIO", writes: "EIO", flushes: "EIO", zeroes: "EIO" },
    duration(random),
  );
  await exchangeFailed(disk, world);
}

/** It takes nothing new from then on, and is exchanged in the end. */
async function exchangeBad(disk: ChaosDisk, world: World, random: Random): Promise<void> {
  const { pdskid, capacity } = await waitUntil("the disk is listed", () => listedDisk(world, disk));
  const blocks = [random.between(0, capacity - 1), random.between(0, capacity - 1)];
  await world.cluster
    .api("notifyBadBlocks", { pdskid, blocks })
    .catch((error: unknown) => world.note(`notifyBadBlocks: ${String(error)}`));
  await pause(duration(random));
  await exchangeFailed(disk, world);
}

async function fullFor(space: SmallFileSystem, ms: number): Promise<void> {
  // What is written at that instant makes it fail.
  await waitUntil("the file system is full", () => {
    space.squeeze();
    return true;
  });
  await pause(ms);
  space.unsqueeze();
}

const one = <T>(thing: T): readonly T[] => [thing];

export const diskFaults: readonly Fault[] = [
  failing("slow disk", 3, (random) => ({ delayMs: random.between(20, 400) })),
  failing("disk hangs", 2, { hangs: true }),
  failing("disk fails reads", 1.5, { reads: "EIO" }),
  failing("disk fails writes", 1.5, { writes: "EIO", zeroes: "EIO" }),
  failing("disk fails flushes", 1, { flushes: "EIO" }),
  failing("disk fails all", 1, { reads: "EIO", writes: "EIO", flushes: "EIO", zeroes: "EIO" }),
  dying("declare disk failed", 0.5, exchangeFailed),
  dying("disk fails for good", 0.5, exchangeBroken),
  dying("notifyBadBlocks", 0.4, exchangeBad),
  faultOf(
    { name: "manager's disk full", weight: 1, things: (world) => one(world.managerSpace), nameOf: () => "" },
    (space, _, random) => fullFor(space, duration(random)),
  ),
  faultOf(
    {
      name: "storage server's file system full",
      weight: 1.5,
      things: (world) => one(world.storageSpace.space),
      nameOf: () => "",
    },
    async (space, world, random) => {
      world.failures.expect();
      await fullFor(space, duration(random));
      world.failures.expect();
    },
  ),
];
