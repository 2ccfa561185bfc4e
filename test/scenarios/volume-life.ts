import { expect } from "vitest";
import { type Bytes, GIB, type Gigabytes } from "../../shared/units.js";
import { membersOf } from "../harness/layout.js";
import { waitUntil } from "../harness/wait-until.js";
import type { ScenarioCluster, ScenarioVolume } from "./scenario-cluster.js";

const NAME = "life";
const SNAPSHOT = "life-before";
const REDUNDANCY = 2;
const SETTLE_MS = 240_000;

export interface LifePlan {
  /** Of each piece of data that is written: whole sectors; the snapshot has to keep several of them. */
  readonly size: Bytes;
  /** Of the volume, in mirrors of one each. */
  readonly gigabytes: Gigabytes;
}

/** Places of the volume that the scenario writes to, each of `size` bytes; the first runs over the end of a mirror, if there are two. */
function placesOf({ size, gigabytes }: LifePlan) {
  const first = gigabytes > 1 ? GIB - size / 2 : 0;
  return { early: first, later: first + size, busy: first + 2 * size };
}

/** The storage server of the first member: losing it hurts. */
async function serverInUse(cluster: ScenarioCluster, lvolid: number): Promise<number> {
  const [member] = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  if (member === undefined) throw new Error(`volume ${lvolid} has no members`);
  return member.lvolspec.ssvrid;
}

/** Head servers in the order of their ids. */
async function headIds(cluster: ScenarioCluster): Promise<readonly [number, number]> {
  const ids = (await cluster.api("listHeadServers", {})).map(({ hsvrid }) => hsvrid).sort((a, b) => a - b);
  const [one, two] = ids;
  if (one === undefined || two === undefined) throw new Error("the scenario needs two head servers");
  return [one, two];
}

/**
 * The life of a volume on three storage servers and two head servers: written, healed after the loss of a server, kept in a
 * snapshot, moved to the other head server with a server missing, and deleted. At each step all that was acknowledged is read.
 */
export async function liveVolumeLife(cluster: ScenarioCluster, plan: LifePlan): Promise<void> {
  const [one, two] = await headIds(cluster);
  const { size, gigabytes } = plan;
  const { early, later } = placesOf(plan);
  const lvolid = await cluster.api("createLogicalVolume", {
    lvolname: NAME,
    capacity: gigabytes,
    redundancy: REDUNDANCY,
  });
  await cluster.api("attachLogicalVolume", { lvolid, hsvrid: one });
  const volume = await cluster.open(one, NAME);
  await volume.write(early, size, "early");
  await volume.flush();
  await volume.verify(early, size, "early");

  const first = await loseInUse(cluster, lvolid, volume, plan);
  await cluster.waitUntilWhole([first]);
  await volume.verify(early, size, "early");
  await volume.verify(later, size, "later");
  await cluster.expectConsistent();

  await keepInSnapshot(cluster, { lvolid, hsvrid: one }, volume, plan);

  const second = await serverInUse(cluster, lvolid);
  await cluster.lose(second);
  await verifyAll(volume, plan);
  await volume.flush();
  await volume.close();

  await cluster.api("detachLogicalVolume", { lvolid });
  await cluster.api("attachLogicalVolume", { lvolid, hsvrid: two });
  const moved = await cluster.open(two, NAME);
  await verifyAll(moved, plan);
  await moved.write(early, size, "moved");
  await moved.verify(early, size, "moved");
  await moved.close();

  await cluster.api("detachLogicalVolume", { lvolid });
  await cluster.api("deleteLogicalVolume", { lvolid });
  await cluster.regain(first);
  await cluster.regain(second);
  await waitUntil("all space is clean again", () => isClean(cluster), SETTLE_MS);
  await cluster.expectConsistent();
}

/** A server is lost while data is on its way. @returns its id */
async function loseInUse(
  cluster: ScenarioCluster,
  lvolid: number,
  volume: ScenarioVolume,
  plan: LifePlan,
): Promise<number> {
  const ssvrid = await serverInUse(cluster, lvolid);
  const { size } = plan;
  const { early, later } = placesOf(plan);
  await Promise.all([volume.write(later, size, "later"), cluster.lose(ssvrid)]);
  await volume.verify(later, size, "later");
  await volume.verify(early, size, "early");
  return ssvrid;
}

/** A snapshot is taken while the volume is written to, and stays what it is whatever is written after it. */
async function keepInSnapshot(
  cluster: ScenarioCluster,
  { lvolid, hsvrid }: { readonly lvolid: number; readonly hsvrid: number },
  volume: ScenarioVolume,
  plan: LifePlan,
): Promise<void> {
  const { size } = plan;
  const { early, later, busy } = placesOf(plan);
  const writing = volume.write(busy, size, "busy");
  const [snapshot] = await Promise.all([
    cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname: SNAPSHOT }),
    writing,
  ]);
  const kept = await cluster.open(hsvrid, SNAPSHOT);
  await kept.verify(early, size, "early");
  const instant = await kept.digest(busy, size);

  await volume.write(busy, size, "busy again");
  await volume.write(later, size, "later again");
  await kept.verify(early, size, "early");
  await kept.verify(later, size, "later");
  expect(await kept.digest(busy, size)).toBe(instant);
  await verifyAll(volume, plan);
  await kept.close();
  await cluster.api("deleteLogicalVolume", { lvolid: snapshot });
}

/** What the volume holds once the snapshot was taken. */
async function verifyAll(volume: ScenarioVolume, plan: LifePlan): Promise<void> {
  const { size } = plan;
  const { early, later, busy } = placesOf(plan);
  await volume.verify(early, size, "early");
  await volume.verify(later, size, "later again");
  await volume.verify(busy, size, "busy again");
}

async function isClean(cluster: ScenarioCluster): Promise<boolean> {
  const { jobs, capacity } = await cluster.api("getClusterStatus", {});
  return jobs.length === 0 && capacity.unshredded === 0;
}
