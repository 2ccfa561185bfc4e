import { mkdtemp, open, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { writeDurable } from "../../agents/common/durable-file.js";
import { writeLabel } from "../../agents/storage/disk-label.js";
import { serverName, targetName, UNIT_MARGIN } from "../../shared/iscsi-names.js";
import { extentPlace, GIB, type Milliseconds, SECTOR_BYTES } from "../../shared/units.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { waitUntil } from "../harness/wait-until.js";
import { callInGuest } from "./guest-call.js";
import type { Machine } from "./machine.js";
import { useMachine } from "./use-machine.js";

const FOLDER = "/tmp/vas";
export const STATE = `${FOLDER}/storage`;
const PREFIX = "iqn.2026-01.org.example";
const CLUSTER = "cluster-in-a-machine";
const AGENT_PORT = 8883;
const ADDRESSES = ["127.0.0.11", "127.0.0.12"] as const;
const PORTAL = `${ADDRESSES[0]}:3260`;
const DISK_GB = 3;
/** A program of Node starts slowly in a machine that is emulated. */
const START_MS: Milliseconds = 300_000;

/** A place on a disk, as a grant names it. */
export interface Extent {
  readonly [member: string]: number;
  readonly dextid: number;
  readonly pdskid: number;
  readonly offset: number;
  readonly capacity: number;
  readonly generation: number;
}

export const extent = (dextid: number, pdskid: number, offset: number, generation = 1): Extent => ({
  dextid,
  pdskid,
  offset,
  capacity: 1,
  generation,
});

/** What stands at an extent's begin, in sectors of the disk, and of its unit. */
export function sectorsOf({ offset, capacity }: Extent): { readonly disk: number; readonly unit: number } {
  const { start } = extentPlace(offset, capacity);
  return { disk: start / SECTOR_BYTES, unit: (start + UNIT_MARGIN) / SECTOR_BYTES };
}

/** The disk with this id in the machine, counted from 1. */
export const diskPath = (pdskid: number): string => `/dev/disk/by-id/virtio-disk${pdskid}`;

/** A storage agent of the kernel data plane, in a machine of its own. It has no manager: the test gives the orders. */
export class GuestStorage {
  private constructor(
    readonly machine: Machine,
    /** The iSCSI name of the server. */
    readonly server: string,
    private readonly paths: readonly string[],
  ) {}

  /** A machine with labelled disks. The agent is not started yet. @param paths by which the agent gets its disks */
  static async boot(
    disks: number,
    paths = Array.from({ length: disks }, (_, index) => diskPath(index + 1)),
  ): Promise<GuestStorage> {
    const folder = await mkdtemp(join(tmpdir(), "vas-vm-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const ids = Array.from({ length: disks }, (_, index) => `disk${index + 1}`);
    for (const [index, id] of ids.entries()) await makeDisk(join(folder, `${id}.disk`), index + 1);
    const identity = join(folder, "identity.json");
    await writeDurable(identity, { cluster: CLUSTER, serial: 1 });
    const machine = await useMachine({ folder, disks: ids.map((id) => ({ id, gigabytes: DISK_GB })) });
    await machine.run(`
      set -e
      mkdir -p ${STATE}
      echo '${(await readFile(identity, "utf8")).trim()}' >${STATE}/identity.json
      iscsid`);
    const boot = (await machine.run("cat /proc/sys/kernel/random/boot_id")).trim();
    const storage = new GuestStorage(machine, serverName(PREFIX, STATE, boot), paths);
    onTestFinished(async ({ task }) => {
      if (task.result?.state === "fail") process.stderr.write(await storage.log());
    });
    return storage;
  }

  /** Starts the agent; returns when it answers. */
  async start(): Promise<void> {
    await this.machine.run(`
      cat >${FOLDER}/vas.conf <<CONF
[ssvr_agent]
listen = ${ADDRESSES.join(" ")}
state_dir = ${STATE}
disks = ${this.paths.join(" ")}
data_plane = kernel
[iscsi]
iqn_prefix = ${PREFIX}
CONF
      setsid node /project/dist/agents/storage/main.js --config ${FOLDER}/vas.conf \
        </dev/null >>${FOLDER}/agent.log 2>&1 &
      echo $! >${FOLDER}/agent.pid`);
    await waitUntil("the agent answers", () => this.call("helloWorld", {}).then(() => true), START_MS);
  }

  /** Sends the agent a signal that ends it; returns when it is gone. */
  async end(signal: "KILL" | "TERM" | "USR2"): Promise<void> {
    await this.machine.run(`kill -${signal} $(cat ${FOLDER}/agent.pid)`);
    await waitUntil("the agent has ended", async () => {
      const { code } = await this.machine.try(`[ ! -d /proc/$(cat ${FOLDER}/agent.pid) ]`);
      return code === 0;
    });
  }

  log(): Promise<string> {
    return this.machine.run(`cat ${FOLDER}/agent.log; dmesg | tail -20`);
  }

  /** @throws XmlRpcFault */
  call(method: string, params: XmlRpcStruct): Promise<XmlRpcValue> {
    return callInGuest(this.machine, { host: ADDRESSES[0], port: AGENT_PORT }, method, params);
  }

  async grant(lvolid: number, epoch: number, version: number, extents: readonly Extent[]): Promise<void> {
    await this.call("grantExtents", { lvolid, epoch, hsvrid: 1, version, extents: [...extents] });
  }

  async revoke(lvolid: number, epoch: number): Promise<void> {
    await this.call("revokeEpoch", { lvolid, epoch });
  }

  target(lvolid: number, epoch: number): string {
    return targetName(this.server, lvolid, epoch);
  }

  /** Logs in as a head would, and gives up a silent session soon. @returns the block device of a disk in it */
  async login(lvolid: number, epoch: number, pdskid: number): Promise<string> {
    const target = this.target(lvolid, epoch);
    const node = `iscsiadm -m node -T ${target} -p ${PORTAL}`;
    await this.machine.run(`
      set -e
      ${node} -o new
      ${node} -o update -n node.session.timeo.replacement_timeout -v 2
      ${node} --login
      udevadm settle`);
    const path = `/dev/disk/by-path/ip-${PORTAL}-iscsi-${target}-lun-${pdskid}`;
    return (await this.machine.run(`readlink -e ${path}`)).trim();
  }

  /** All that the kernel has of this agent: names of devices, backstores, targets and units. */
  async kernelObjects(): Promise<string[]> {
    const text = await this.machine.run(`
      dmsetup ls | grep -o '^vas-[^[:space:]]*' | sed 's/^/device /'
      cd /sys/kernel/config/target 2>/dev/null || exit 0
      ls core/iblock_0 | grep '^vas-' | sed 's/^/backstore /'
      for target in iscsi/iqn.*; do [ ! -d "$target" ] || echo "target \${target##*/}"; done
      for lun in iscsi/iqn.*/tpgt_1/lun/lun_*; do [ ! -d "$lun" ] || echo "unit \${lun##*_}"; done`);
    const kinds = ["device", "backstore", "target", "unit"];
    const kindOf = (line: string): number => kinds.indexOf(line.split(" ")[0] ?? "");
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.sort((a, b) => kindOf(a) - kindOf(b) || (a < b ? -1 : 1));
  }
}

async function makeDisk(path: string, pdskid: number): Promise<void> {
  const handle = await open(path, "w+");
  try {
    await truncate(path, DISK_GB * GIB);
    await writeLabel(handle, { cluster: CLUSTER, pdskid, bytes: DISK_GB * GIB });
  } finally {
    await handle.close();
  }
}
