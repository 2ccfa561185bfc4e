import { expect, test } from "vitest";
import { GIB, MIB } from "../../shared/units.js";
import { membersOf, type TestCluster } from "../harness/cluster.js";
import { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { attach } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const ROUNDS = 6;
const PIECE = 256 * 1024;
/** Where each tenant writes: every 64 MiB, and at the very end. */
const PLACES = [...Array.from({ length: 16 }, (_, at) => at * 64 * MIB + at * 4096), GIB - PIECE];
const ZEROS = Buffer.alloc(MIB);

/** @returns the first MiB that is not all zeros; undefined if there is none. */
async function firstByteOfSomebody(client: NbdClient): Promise<number | undefined> {
  for (let at = 0; at < GIB; at += MIB) if (!(await client.read(at, MIB)).equals(ZEROS)) return at;
  return undefined;
}

/** A tenant comes, looks for bytes of others, writes, has a snapshot, writes again, and goes. */
async function live(cluster: TestCluster, head: TestServer, name: string): Promise<Set<string>> {
  const create = { lvolname: name, capacity: 1, redundancy: 2 };
  // There is room for one tenant only: the space of the one before is shredded first.
  const lvolid = await waitUntil("there is room", () => cluster.api("createLogicalVolume", create));
  const space = new Set(
    membersOf(await cluster.api("showLogicalVolume", { lvolid })).map(
      ({ lvolspec }) => `${lvolspec.pdskid} ${lvolspec.offset}`,
    ),
  );
  await attach(cluster, lvolid, head);
  const client = await NbdClient.connect({ path: head.socket(name) });
  expect(await firstByteOfSomebody(client), `bytes of another tenant in ${name}`).toBeUndefined();
  const write = async (what: string): Promise<void> => {
    for (const place of PLACES) await client.write(place, randomData(`${name} ${what} ${place}`, PIECE));
  };
  await write("before");
  await waitUntil("there is room for a snapshot", () =>
    cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: `${name}-s` }),
  );
  await write("after");
  const snapshot = await NbdClient.connect({ path: head.socket(`${name}-s`) });
  for (const place of PLACES) {
    expect((await snapshot.read(place, PIECE)).equals(randomData(`${name} before ${place}`, PIECE))).toBe(
      true,
    );
    expect((await client.read(place, PIECE)).equals(randomData(`${name} after ${place}`, PIECE))).toBe(true);
  }
  expect((await snapshot.read(32 * MIB, MIB)).equals(ZEROS)).toBe(true);
  await snapshot.close();
  await client.close();
  await waitUntil("the snapshot is closed", () =>
    cluster.api("deleteLogicalVolume", { lvolname: `${name}-s` }).then(() => true),
  );
  await cluster.api("detachLogicalVolume", { lvolid });
  await cluster.api("deleteLogicalVolume", { lvolid });
  return space;
}

test("no tenant ever sees a byte of another one, whose space it gets", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2, diskGb: 3 });
  const spaces: Set<string>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const head = cluster.heads[round % 2] as TestServer;
    spaces.push(await live(cluster, head, round % 2 === 0 ? `alice-${round}` : `bob-${round}`));
    // Those who zero it die in the middle, now and then.
    const server = cluster.storage[round % 2] as TestServer;
    if (round % 3 === 1) await server.kill();
    else if (round % 3 === 2) await server.killControl();
    if (server.control().length === 0) server.up();
  }
  const used = spaces.flatMap((space) => [...space]);
  expect(new Set(used).size, "the tenants had space in common").toBeLessThan(used.length);
  await cluster.waitUntilUsable();
  await expectConsistent(cluster);
});
