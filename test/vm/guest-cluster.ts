import { spawnSync } from "node:child_process";
import { closeSync, openSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { type ClusterPlan, MANAGER_PORT, planCluster } from "../../cli/local/plan.js";
import type { ServerPlan } from "../../cli/local/server.js";
import { GIB } from "../../shared/units.js";
import { withDisks } from "../harness/cluster.js";
import { expectConsistent } from "../harness/consistent.js";
import { ManagedCluster } from "../harness/managed-cluster.js";
import { waitUntil } from "../harness/wait-until.js";
import type { ScenarioCluster, ScenarioVolume } from "../scenarios/scenario-cluster.js";
import { freePort } from "./free-port.js";
import { installBoot } from "./guest-boot.js";
import { GuestServer } from "./guest-server.js";
import { guestVolume } from "./guest-volume.js";
import { Machine } from "./machine.js";

export type DataPlane = "nbd" | "kernel";

export interface GuestClusterOptions {
  readonly dataPlane: DataPlane;
  /** Default 3; at most 9. */
  readonly storageServers?: number;
  /** Default 2. */
  readonly headServers?: number;
  /** Size of each disk, of which each server has one; default 6, which leaves 5 GB for extents. */
  readonly diskGigabytes?: number;
  readonly manager?: Readonly<Record<string, number>>;
}

/** The machine computes ten times slower than ours: what is short in a cluster of processes is longer here. */
const patientManager = {
  server_check_interval: 10,
  server_check_retry: 2,
  replace_after: 15,
  reconcile_interval: 5,
  agent_timeout: 60,
  max_retry_pause: 5,
  attach_timeout: 110,
  detach_timeout: 110,
};
const patientAgents = { agent_timeout: 60, attach_timeout: 110, detach_timeout: 110 };
const patientHead = { member_timeout: 30 };
const USABLE_MS = 600_000;
const WHOLE_MS = 400_000;

function layOut({ dataPlane, ...options }: GuestClusterOptions): ClusterPlan {
  const plan = planCluster({
    folder: "/data",
    runFolder: "/run/vas",
    addresses: "127.0.0.",
    storageServers: options.storageServers ?? 3,
    headServers: options.headServers ?? 2,
    disksPerServer: 1,
    diskGb: options.diskGigabytes ?? 6,
    // The other one takes longer to start.
    logFormat: "json",
    // The host comes in by another address.
    manager: { ...patientManager, listen: "0.0.0.0", ...options.manager },
    storage: { data_plane: dataPlane },
    head: { ...patientHead, data_plane: dataPlane },
  });
  const storage = plan.storage.map((server) => withDisks(server, [`/dev/disk/by-id/virtio-${server.name}`]));
  return { ...plan, storage: storage.map(patient), heads: plan.heads.map(patient) };
}

/** An agent that waits long for the manager. */
function patient(agent: ServerPlan): ServerPlan {
  const storage_manager = { ...agent.conf.storage_manager, ...patientAgents };
  return { ...agent, conf: { ...agent.conf, storage_manager } };
}

/** File system of a disk that outlasts a reset, and loses with a reset what was not synced. */
function makeDataDisk(path: string): void {
  closeSync(openSync(path, "w"));
  truncateSync(path, 2 * GIB);
  const { status } = spawnSync("mke2fs", ["-q", "-t", "ext4", "-E", "lazy_itable_init=1", path]);
  if (status !== 0) throw new Error(`mke2fs of ${path} ended with ${status}`);
}

/** A cluster of real processes in a machine, each server on a loopback address and the storage servers with a disk each. */
export class GuestCluster extends ManagedCluster implements ScenarioCluster {
  readonly manager: GuestServer;
  readonly storage: readonly GuestServer[];
  readonly heads: readonly GuestServer[];

  private constructor(
    readonly machine: Machine,
    readonly dataPlane: DataPlane,
    protected readonly managerAt: { readonly host: string; readonly port: number },
    private readonly plan: ClusterPlan,
  ) {
    super();
    const make = (server: ClusterPlan["manager"]): GuestServer => new GuestServer(server, machine);
    this.manager = make(plan.manager);
    this.storage = plan.storage.map(make);
    this.heads = plan.heads.map(make);
  }

  /** Boots a machine with a cluster in which nothing is started yet. @param place image and folder of the machine */
  static async boot(
    place: { readonly image: string; readonly folder: string },
    options: GuestClusterOptions,
  ): Promise<GuestCluster> {
    const plan = layOut(options);
    const data = join(place.folder, "data.ext4");
    makeDataDisk(data);
    const port = await freePort();
    const machine = await Machine.boot({
      ...place,
      name: "cluster",
      data,
      disks: plan.storage.map(({ name, diskGb }) => ({ id: name, gigabytes: diskGb })),
      door: { port, to: MANAGER_PORT },
      memoryMb: 3072,
    });
    return new GuestCluster(machine, options.dataPlane, { host: "127.0.0.1", port }, plan);
  }

  get servers(): readonly GuestServer[] {
    return [this.manager, ...this.storage, ...this.heads];
  }

  /** Starts every server, as each boot does from now on, and waits until all space is usable. */
  async start(): Promise<void> {
    const plans = this.servers.map(({ plan }) => plan);
    const scripts = this.servers.map((server) => server.prepareScript());
    await this.machine.run(["set -e", ...scripts, installBoot(plans)].join("\n"));
    await this.machine.run("setsid /data/boot </dev/null >>/data/boot.log 2>&1 &");
    await this.waitUntilUsable();
  }

  /** Every server is registered and up, and every gigabyte is clean or in use. */
  async waitUntilUsable(): Promise<void> {
    const { storage, heads } = this.plan;
    const disks = storage.reduce((sum, server) => sum + server.disks.length, 0);
    await this.waitUntilAllUp({ heads: heads.length, storage: storage.length, disks }, USABLE_MS);
  }

  /** The reset button of the machine: all servers lose what they had not made durable, and start again. */
  async reset(): Promise<void> {
    await this.machine.reset();
    const started = async (): Promise<boolean> =>
      (await this.machine.try("[ -e /run/cluster-started ]")).code === 0;
    await waitUntil("the servers are started again", started, USABLE_MS);
  }

  isManagerRunning(): Promise<boolean> {
    return this.manager.isRunning();
  }

  override waitUntilWhole(avoiding: readonly number[] = [], timeoutMs = WHOLE_MS): Promise<void> {
    return super.waitUntilWhole(avoiding, timeoutMs);
  }

  /** Its processes are killed where they are the data path. In the kernel it goes on, and is cut off. */
  async lose(ssvrid: number): Promise<void> {
    const server = await this.#storageServer(ssvrid);
    await (this.dataPlane === "nbd" ? server.kill() : server.cut());
  }

  async regain(ssvrid: number): Promise<void> {
    const server = await this.#storageServer(ssvrid);
    await (this.dataPlane === "nbd" ? server.up() : server.mend());
  }

  /** Opens a volume or a snapshot that is attached to this head server. */
  async open(hsvrid: number, name: string): Promise<ScenarioVolume> {
    const head = await this.#find(this.heads, (server) => this.headServerId(server), hsvrid);
    const runFolder = String(head.plan.conf.hsvr_agent?.run_dir);
    const folder = this.dataPlane === "nbd" ? runFolder : "/dev/vas";
    return guestVolume(this.machine, `${folder}/${name}`);
  }

  expectConsistent(): Promise<void> {
    return expectConsistent(this);
  }

  /** The ends of every log, and of what the kernel says, for the report of a failed test. */
  async logTails(): Promise<string> {
    const tails: string[] = [await this.machine.run("tail -n 20 /data/boot.log; dmesg | tail -n 60")];
    for (const server of this.servers) tails.push(`--- ${server.plan.name}\n${await server.logTail()}`);
    return tails.join("\n");
  }

  async end(): Promise<void> {
    this.hangUp();
    await this.machine.end();
  }

  #storageServer(ssvrid: number): Promise<GuestServer> {
    return this.#find(this.storage, (server) => this.storageServerId(server), ssvrid);
  }

  async #find(
    servers: readonly GuestServer[],
    idOf: (server: GuestServer) => Promise<number>,
    id: number,
  ): Promise<GuestServer> {
    for (const server of servers) if ((await idOf(server)) === id) return server;
    throw new Error(`there is no server ${id}`);
  }
}
