import { setTimeout as pause } from "node:timers/promises";
import { diskFileBytes } from "../../../cli/local/server.js";
import { Priority } from "../../../shared/states.js";
import { GIB } from "../../../shared/units.js";
import type { DiskFaults, FaultyDisk } from "../../harness/faulty-disk.js";
import type { TestServer } from "../../harness/test-server.js";
import { run } from "../../harness/tools.js";
import { waitUntil } from "../../harness/wait-until.js";
import { restartControl, signal, type World } from "./world.js";

/** Until all copies that a failed disk held are elsewhere; other faults may come in between, and interrupt copying, for a round. */
const EMPTIED_MS = 1_800_000;
const REGISTERED_MS = 120_000;

/** A disk of a storage server. */
export interface ChaosDisk {
  readonly server: TestServer;
  /** Its number on its server, from 1. */
  readonly number: number;
  readonly path: string;
  /** One that can be made to fail. */
  readonly faulty: FaultyDisk | undefined;
}

export const nameOfDisk = ({ server, number }: ChaosDisk): string => `disk ${number} of ${server.plan.name}`;

/** Where what is on a disk can be read behind the backs of all. */
export function contentOf(world: World, path: string): string {
  return world.disks.find((disk) => disk.path === path)?.faulty?.content ?? path;
}

export async function listedDisk({ cluster }: World, { path, server }: ChaosDisk) {
  const ssvrid = await cluster.storageServerId(server);
  const listed = (await cluster.api("listPhysicalDisks", {})).find(
    (disk) => disk.ssvrid === ssvrid && disk.local_path === path,
  );
  if (listed === undefined) throw new Error(`${path} is not listed`);
  return listed;
}

/**
 * Whether an export that saw its disk fail a write or a flush serves it again when the disk works. Where it does not – it
 * answers EIO until it is restarted –, its administrator restarts it.
 */
const FAILED_EXPORTS_RECOVER = true;

/** The disk works badly for a while. */
export async function failFor(disk: ChaosDisk, world: World, faults: DiskFaults, ms: number): Promise<void> {
  world.failures.expect();
  disk.faulty?.set(faults);
  await pause(ms);
  disk.faulty?.heal();
  if (!FAILED_EXPORTS_RECOVER && (faults.writes ?? faults.flushes) !== undefined)
    signal(disk.server.dataPathPids(), "SIGKILL");
  world.failures.expect();
}

/**
 * A disk that was declared failed is deleted as soon as the manager allows it, since no copy depends on it any more, and a blank
 * one is put in its place. Nothing is destroyed before.
 */
export async function exchange(disk: ChaosDisk, world: World): Promise<void> {
  const { cluster, note } = world;
  const { pdskid } = await waitUntil("the disk is listed", () => listedDisk(world, disk));
  let refusal = "";
  await waitUntil(
    `disk ${pdskid} can be deleted`,
    async () => {
      await pause(500);
      try {
        await cluster.api("deletePhysicalDisk", { pdskid });
      } catch (error) {
        refusal = String(error);
        if (!refusal.includes("ENOENT")) return false;
      }
      return true;
    },
    EMPTIED_MS,
  ).catch((error: unknown) => {
    throw new Error(`disk ${pdskid} can't be deleted: ${refusal}`, { cause: error });
  });
  disk.faulty?.heal();
  note(`      ${nameOfDisk(disk)} (pdsk ${pdskid}) is deleted and exchanged for a blank one`);
  // While nobody uses it: its export ends as soon as the agent has learnt that the manager does not know the disk.
  await punch(disk);
  await restartControl(disk.server, world);
  await waitUntil(
    `${nameOfDisk(disk)} is in use again`,
    async () => {
      const now = await listedDisk(world, disk);
      return now.pdskid !== pdskid && now.priority === Priority.HIGH;
    },
    REGISTERED_MS,
  );
}

/** All of it, in pieces that a disk takes at once. */
async function punch({ path, server }: ChaosDisk): Promise<void> {
  const bytes = diskFileBytes(server.plan.diskGb);
  for (let offset = 0; offset < bytes; offset += GIB) {
    const length = String(Math.min(GIB, bytes - offset));
    const words = ["--punch-hole", "--offset", String(offset), "--length", length, path];
    const { code, stderr } = await run("fallocate", words);
    if (code !== 0) throw new Error(`${path} can't be made blank: ${stderr}`);
  }
}
