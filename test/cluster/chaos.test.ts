import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { TestCluster } from "../harness/cluster.js";
import { seed } from "../harness/random-data.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { waitUntil } from "../harness/wait-until.js";
import { differencesOf } from "./chaos/compare.js";
import { bringUp, faults, type World } from "./chaos/faults.js";
import { Random } from "./chaos/random.js";
import { VolumeUser } from "./chaos/user.js";

/** Set VAS_FAULTS for a long run, and VAS_SEED to repeat one. */
const COUNT = Number(process.env.VAS_FAULTS ?? 8);
/** After so many faults everything is brought up, healed and compared. */
const FAULTS_A_ROUND = 60;
const AT_ONCE = 4;
const HEALED_MS = 180_000;
const ANSWERED_MS = 90_000;

const VOLUMES = [
  { name: "a", gigabytes: 2, redundancy: 2 },
  { name: "b", gigabytes: 3, redundancy: 3 },
  { name: "c", gigabytes: 1, redundancy: 2 },
] as const;

test(
  "no acknowledged write is lost and nothing is stuck, whatever is killed, frozen, fenced or moved",
  async () => {
    const cluster = await useCluster({
      storageServers: 5,
      headServers: 2,
      diskGb: 8,
      manager: { replace_after: 6, attach_timeout: 15, detach_timeout: 6 },
    });
    const started = performance.now();
    const notes: string[] = [];
    const note = (text: string): void => {
      notes.push(`${((performance.now() - started) / 1000).toFixed(2).padStart(8)} ${text}`);
    };
    const users = await Promise.all(VOLUMES.map((volume) => createUser(cluster, volume, note)));
    const world: World = { cluster, users, busy: new Set(), note };
    const random = new Random(seed, "faults");
    try {
      for (let left = COUNT; left > 0; left -= FAULTS_A_ROUND) {
        await round(world, random, Math.min(left, FAULTS_A_ROUND));
        expect(users.flatMap(({ violations }) => violations)).toEqual([]);
      }
    } catch (error) {
      process.stderr.write(`VAS_SEED=${seed} VAS_FAULTS=${COUNT}\n${notes.join("\n")}\n`);
      throw error;
    } finally {
      for (const user of users) user.stop();
    }
    const totals = users.map(({ options, history }) => `${options.name} ${JSON.stringify(history.counts)}`);
    process.stderr.write(`VAS_SEED=${seed} VAS_FAULTS=${COUNT}: ${totals.join(", ")}\n`);
  },
  // A fault takes 1 to 2 s, and a round is followed by healing and comparing.
  120_000 + COUNT * 15_000,
);

async function createUser(
  cluster: TestCluster,
  { name, gigabytes, redundancy }: (typeof VOLUMES)[number],
  note: (text: string) => void,
): Promise<VolumeUser> {
  const lvolid = await cluster.api("createLogicalVolume", {
    lvolname: name,
    capacity: gigabytes,
    redundancy,
  });
  return new VolumeUser({ cluster, seed, lvolid, name, gigabytes, note });
}

/** Faults while the volumes are used, then peace, healing and the comparison of everything. */
async function round(world: World, random: Random, count: number): Promise<void> {
  const { cluster, users, note } = world;
  await Promise.all(users.map((user) => user.connected()));
  const using = Promise.all(users.map((user) => user.run()));
  using.catch(() => undefined); // it is awaited below
  await Promise.race([using, sequence(world, random, count)]);

  note("peace");
  await restore(world);
  note("all servers are up");
  for (const user of users) user.hold();
  await waitUntil("every request is answered", () => users.every(({ quiet }) => quiet), ANSWERED_MS);
  note("every request is answered");
  for (const user of users) user.stop();
  await using;
  // Only an attached volume heals.
  await Promise.all(users.map((user) => user.connected()));
  await waitUntilHealthy(cluster);
  note("healthy");
  await Promise.all(users.map((user) => user.verify()));
  note("everything reads as it should");
  for (const user of users) {
    await user.close();
    await waitUntil(`volume ${user.options.name} is detached`, async () => {
      return (await cluster.api("detachLogicalVolume", { lvolid: user.options.lvolid })) === 0;
    });
  }
  const whole = random.pick(users);
  for (const user of users) {
    const chosen = user === whole ? random.between(0, user.options.gigabytes - 1) : undefined;
    expect(await differencesOf(cluster, user, chosen)).toEqual([]);
  }
  await expectConsistent(cluster);
  note("the members are equal and the state is consistent");
}

async function sequence(world: World, random: Random, count: number): Promise<void> {
  const active = new Set<Promise<void>>();
  for (let done = 0; done < count; ) {
    const course = random.weighted(faults)?.begin(world, random);
    if (course !== undefined) {
      done += 1;
      const tracked: Promise<void> = course.finally(() => active.delete(tracked));
      active.add(tracked);
    }
    await pause(random.between(20, 800));
    if (active.size >= AT_ONCE) await Promise.race(active);
  }
  await Promise.all(active);
}

/** Every server runs and is in use again. */
async function restore({ cluster, note }: World): Promise<void> {
  for (const server of cluster.servers) await bringUp(server, cluster);
  await waitUntil(
    "all servers are in use",
    async () => {
      const { head_servers, storage_servers, disks } = await cluster.status();
      return [head_servers, storage_servers, disks].every(({ total, up }) => total === up);
    },
    40_000,
  ).catch(async (error: unknown) => {
    note(`not all servers are in use: ${JSON.stringify((await cluster.status()).notices)}`);
    throw error;
  });
}

async function waitUntilHealthy(cluster: TestCluster): Promise<void> {
  try {
    await waitUntil(
      "the cluster is healthy",
      async () => {
        const { healthy, volumes } = await cluster.status();
        return healthy && volumes.degraded === 0;
      },
      HEALED_MS,
    );
  } catch (error) {
    const { notices, jobs } = await cluster.status();
    throw new Error(`not healed: ${JSON.stringify({ notices, jobs })}`, { cause: error });
  }
}
