import { open, truncate } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { onTestFinished, vi } from "vitest";
import { Identity } from "../../agents/common/identity.js";
import type { ManagerClient } from "../../agents/common/manager-client.js";
import { AccessFiles } from "../../agents/storage/access-files.js";
import { readLabel } from "../../agents/storage/disk-label.js";
import { DiskRecords } from "../../agents/storage/disk-records.js";
import { Exports } from "../../agents/storage/exports.js";
import { Grants } from "../../agents/storage/grants.js";
import { Inventory } from "../../agents/storage/inventory.js";
import { createRegistration } from "../../agents/storage/register.js";
import { VasError } from "../../shared/errors.js";
import { EXTENT_UNIT_BYTES, MIB } from "../../shared/units.js";
import { tempFolder } from "./temp-folder.js";

export const DISK_BYTES = 2 * EXTENT_UNIT_BYTES + 2 * MIB;
const SSVRID = 5;

interface RegisterCall {
  readonly local_path: string;
  readonly pdskid?: number;
}

/** A manager that knows disks by id and path, and refuses paths with what is in `refuse`. */
class PlayedManager {
  readonly disks = new Map<number, string>();
  readonly refuse = new Map<string, Error>();
  readonly calls: RegisterCall[] = [];
  #last = 0;

  call(method: string, params: unknown): Promise<unknown> {
    return Promise.resolve().then(() => {
      if (method === "identifyCluster") return { cluster: "ours", serial: 1 };
      if (method === "registerStorageServer") return SSVRID;
      if (method === "registerPhysicalDisk") return this.#register(params as RegisterCall);
      return [...this.disks].map(([pdskid, local_path]) => ({ pdskid, local_path, ssvrid: SSVRID }));
    });
  }

  #register(call: RegisterCall): number {
    this.calls.push(call);
    const refusal = this.refuse.get(call.local_path);
    if (refusal !== undefined) throw refusal;
    if (call.pdskid !== undefined && !this.disks.has(call.pdskid))
      throw new VasError("ENOENT", "pdskid: there is no such disk");
    const pdskid = call.pdskid ?? ++this.#last;
    this.disks.set(pdskid, call.local_path);
    return pdskid;
  }
}

/** A storage agent's registration with two blank disks; `start` makes it anew from what is on disk, as after a restart. */
export async function registerRig() {
  const folder = tempFolder();
  const paths = [join(folder, "disk-a"), join(folder, "disk-b")] as const;
  for (const path of paths) await wipe(path);
  const manager = new PlayedManager();
  const logged: string[] = [];
  const start = async ({ force = false } = {}) => {
    const log = pino(
      { level: "info" },
      { write: (line: string) => void logged.push(JSON.parse(line).msg as string) },
    );
    const identity = await Identity.load(join(folder, "identity.json"));
    const records = await DiskRecords.load(join(folder, "disks.json"));
    const grants = await Grants.load(await AccessFiles.open(folder), async () => undefined);
    const exports = await Exports.open({
      folder: join(folder, "exports"),
      entry: join(import.meta.dirname, "fixtures", "fake-export.mjs"),
      addresses: ["127.0.0.1"],
      firstPort: 1,
      bootId: "boot",
      logFormat: "json",
      logLevel: "info",
      onDiskFailed: () => undefined,
      grantsOf: (pdskid) => grants.documentFor(pdskid),
      log,
    });
    onTestFinished(() => exports.stopAll());
    const endShreds = vi.fn(async (_pdskid: number): Promise<void> => undefined);
    const cluster = (): string | undefined => identity.cluster;
    const inventory = new Inventory({ paths, force, records, grants, exports, endShreds, cluster, log });
    const register = createRegistration({
      manager: manager as unknown as ManagerClient,
      identity,
      inventory,
      records,
      addresses: ["127.0.0.1"],
      port: 1,
      exports,
      bootId: "boot",
      zone: "",
      force,
      log,
    });
    const again = (): Promise<void> => register(new AbortController().signal);
    return { records, grants, exports, inventory, endShreds, again };
  };
  const count = (what: RegExp): number => logged.filter((line) => what.test(line)).length;
  return { folder, paths, manager, logged, count, start };
}

/** Makes a disk file of zeros, or makes one so again. */
export async function wipe(path: string): Promise<void> {
  await (await open(path, "a")).close();
  await truncate(path, 0);
  await truncate(path, DISK_BYTES);
}

export async function labelOf(path: string): Promise<number | undefined> {
  const handle = await open(path, "r");
  const found = await readLabel(handle, DISK_BYTES);
  await handle.close();
  return found.kind === "label" ? found.label.pdskid : undefined;
}
