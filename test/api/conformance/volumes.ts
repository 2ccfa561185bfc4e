import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { VolumeInfo } from "../../../shared/methods/manager-methods.js";
import { BindEvent, BindStatus } from "../../../shared/states.js";
import type { TestCluster } from "../../harness/cluster.js";
import { faultOf, type Refusal } from "../../harness/fault-of.js";
import type { MessageFilter } from "../../harness/message-gate.js";
import type { TestServer } from "../../harness/test-server.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { NamedVolume } from "./naming.js";

/**
 * Nothing but the calls of the tests, and what follows from them, changes anything: no server is taken for silent, and what is
 * detached is left alone.
 */
export const patient = {
  server_check_interval: 3600,
  replace_after: 3600,
  agent_timeout: 30,
  maintenance_delay: 3600,
};

export function headOf(cluster: TestCluster, number = 1): TestServer {
  return cluster.heads[number - 1] as TestServer; // the cluster of the file has as many
}

/** A volume of 1 GB with two copies. */
export async function createSmall(cluster: TestCluster, lvolname: string): Promise<NamedVolume> {
  const lvolid = await cluster.api("createLogicalVolume", { lvolname, capacity: 1, redundancy: 2 });
  return { lvolid, lvolname };
}

export async function createSmallAttached(cluster: TestCluster, lvolname: string): Promise<NamedVolume> {
  const volume = await createSmall(cluster, lvolname);
  await attach(cluster, volume.lvolid, headOf(cluster));
  return volume;
}

export function createSnapshotOf(
  cluster: TestCluster,
  { lvolid }: NamedVolume,
  snapshot_lvolname: string,
): Promise<number> {
  return cluster.api("createSnapshot", { origin_lvolid: lvolid, snapshot_lvolname });
}

export async function infoOf(cluster: TestCluster, lvolid: number): Promise<VolumeInfo> {
  const [info] = await cluster.api("listLogicalVolumes", { lvolid });
  if (info === undefined) throw new Error(`volume ${lvolid} is not listed`);
  return info;
}

export async function expectBinding(
  cluster: TestCluster,
  lvolid: number,
  binding: Partial<Pick<VolumeInfo, "bind_status" | "bind_event" | "hsvrid">>,
): Promise<void> {
  expect(await infoOf(cluster, lvolid)).toMatchObject(binding);
}

export const unbound = { bind_status: BindStatus.UNBOUND, bind_event: BindEvent.NONE, hsvrid: 0 } as const;
export const bound = { bind_status: BindStatus.BOUND, bind_event: BindEvent.NONE } as const;

/**
 * Makes a call and holds back the message to an agent that it leads to while the work is done; then lets the message
 * through, and everything like it.
 *
 * @returns what the call answered
 */
export async function whileHeld<T>(
  cluster: TestCluster,
  message: MessageFilter,
  call: () => Promise<T>,
  work: () => Promise<void>,
): Promise<T> {
  const hold = cluster.gate.hold(message);
  const answer = call();
  answer.catch(() => undefined);
  try {
    await waitUntil(`${message.method} is on its way`, () => hold.messages.length > 0);
    await work();
  } finally {
    await hold.release();
  }
  return answer;
}

/** Attaches a volume of which the head can't make the device: a folder is in the place of its socket. */
export async function failToAttach(cluster: TestCluster, volume: NamedVolume): Promise<Refusal> {
  const place = headOf(cluster).socket(volume.lvolname);
  mkdirSync(join(place, "in the way"), { recursive: true });
  try {
    return await faultOf(attach(cluster, volume.lvolid, headOf(cluster)));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
