import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { MirrorNode } from "../../shared/layout-tree.js";
import { mirrorsOf, type TestCluster } from "./cluster.js";
import { extentFiles } from "./disk-files.js";
import type { FaultyDisk } from "./faulty-disk.js";
import type { NbdClient } from "./nbd-client.js";
import { run } from "./tools.js";
import { expectConsistent } from "./use-cluster.js";
import { firstMismatch } from "./volume-io.js";
import { waitUntil } from "./wait-until.js";

const comparer = fileURLToPath(new URL("compare-files.py", import.meta.url));

/** Data whose write was acknowledged. */
export interface Written {
  readonly offset: number;
  readonly data: Buffer;
}

/**
 * After a fault is over: the volume gets whole, nothing is left to do, every acknowledged write can be read, all members
 * have the same bytes, and the manager's state is consistent.
 *
 * @param disk one that is not an ordinary file
 */
export async function expectSound(
  cluster: TestCluster,
  lvolid: number,
  client: NbdClient,
  written: readonly Written[],
  disk?: FaultyDisk,
): Promise<void> {
  await cluster.waitUntilWhole();
  await waitUntil("no job is left", async () => (await cluster.status()).jobs.length === 0);
  for (const { offset, data } of written) expect(await firstMismatch(client, offset, data)).toBeUndefined();
  await client.flush();
  for (const mirror of mirrorsOf(await cluster.api("showLogicalVolume", { lvolid }))) {
    const contentOf = (path: string): string => (path === disk?.path ? disk.content : path);
    expect(await compareMembers(cluster, mirror, contentOf)).toBe("");
  }
  await expectConsistent(cluster);
}

/**
 * All bytes of all members.
 *
 * @param contentOf where what is on a disk can be read, whatever the disk does
 * @returns where the first difference is; empty if there is none
 */
export async function compareMembers(
  cluster: TestCluster,
  mirror: MirrorNode,
  contentOf: (path: string) => string,
): Promise<string> {
  const members = await extentFiles(cluster, mirror.components);
  const length = String(members[0]?.place.dataLength ?? 0);
  const files = members.flatMap(({ path, place }) => [contentOf(path), String(place.dataStart)]);
  const { stdout, stderr } = await run("python3", [comparer, length, ...files]);
  return stdout + stderr;
}
