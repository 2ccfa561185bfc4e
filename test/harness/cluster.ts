import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type ClusterOptions, type ClusterPlan, MANAGER_PORT, planCluster } from "../../cli/local/plan.js";
import { killAll } from "../../cli/local/processes.js";
import type { ServerPlan } from "../../cli/local/server.js";
import { type AddressBlock, claimAddresses } from "./addresses.js";
import { ManagedCluster } from "./managed-cluster.js";
import { MessageGate } from "./message-gate.js";
import { innerPrefix, Network } from "./network.js";
import { makeTestFolder, OWNER_TAG, ownIdentity } from "./orphans.js";
import { TestServer } from "./test-server.js";

export { membersOf, mirrorsOf } from "./layout.js";

type DiskFiles = Readonly<Record<string, readonly string[]>>;

export type TestClusterOptions = Partial<
  Pick<
    ClusterOptions,
    "storageServers" | "headServers" | "disksPerServer" | "diskGb" | "manager" | "storage" | "head"
  >
> & {
  /** Disk files of servers that do not have their own ones, by the server's name: `storage-2`; or what makes them of the cluster's folder. */
  readonly disks?: DiskFiles | ((folder: string) => DiskFiles);
  /** `namespaces`: each server in a network namespace of its own, so that links can be cut. Root only. */
  readonly network?: "loopback" | "namespaces";
  /** All calls between manager and agents pass a gate. On loopback only. */
  readonly gate?: boolean;
  /** Storage servers that are added later, by the test. */
  readonly absent?: readonly string[];
};

/** Short, so that a test sees within seconds what takes minutes in a data centre. */
const quickManager = {
  server_check_interval: 1,
  server_check_retry: 0.2,
  replace_after: 2,
  reconcile_interval: 0.5,
  agent_timeout: 3,
  max_retry_pause: 1,
  attach_timeout: 60,
  detach_timeout: 60,
};
const quickHead = { member_timeout: 2 };
/** Where no copy may be done without only because the machine is busy. */
export const patientHead = { member_timeout: 30 } as const;

/** What lies between the servers of a cluster, if anything does. */
interface Between {
  readonly network: Network | undefined;
  readonly gate: MessageGate | undefined;
}

function layOut(folder: string, addresses: string, options: TestClusterOptions): ClusterPlan {
  const plan = planCluster({
    folder,
    runFolder: join(folder, "run"),
    addresses,
    storageServers: options.storageServers ?? 4,
    headServers: options.headServers ?? 1,
    disksPerServer: options.disksPerServer ?? 1,
    diskGb: options.diskGb ?? 4,
    logFormat: "pretty",
    manager: { ...quickManager, ...options.manager },
    storage: { ...options.storage },
    head: { ...quickHead, ...options.head },
  });
  const disks = typeof options.disks === "function" ? options.disks(folder) : options.disks;
  return { ...plan, storage: plan.storage.map((server) => withDisks(server, disks?.[server.name])) };
}

/** The server with these disks in place of its own. */
export function withDisks(plan: ServerPlan, disks: readonly string[] | undefined): ServerPlan {
  if (disks === undefined) return plan;
  const ssvr_agent = { ...plan.conf.ssvr_agent, disks: disks.join(" ") };
  return { ...plan, disks, conf: { ...plan.conf, ssvr_agent } };
}

/** A cluster of real processes, in a temporary folder and on addresses of its own. */
export class TestCluster extends ManagedCluster {
  readonly manager: TestServer;
  readonly storage: readonly TestServer[];
  readonly heads: readonly TestServer[];

  private constructor(
    readonly folder: string,
    private readonly block: AddressBlock,
    plan: ClusterPlan,
    environment: NodeJS.ProcessEnv,
    private readonly between: Between,
    private readonly absent: readonly string[],
  ) {
    super();
    const { network, gate } = between;
    const make = (server: ServerPlan): TestServer =>
      new TestServer(gate === undefined ? server : MessageGate.through(server), environment, network);
    this.manager = make(plan.manager);
    this.storage = plan.storage.map(make);
    this.heads = plan.heads.map(make);
  }

  /** Makes a cluster and starts nothing yet. */
  static async create(options: TestClusterOptions = {}): Promise<TestCluster> {
    if (!existsSync(new URL("../../dist/manager/main.js", import.meta.url))) {
      throw new Error("the programs are not built; run `npm run build`, or the tests with `npm test`");
    }
    const block = await claimAddresses();
    const folder = makeTestFolder();
    const environment = { ...process.env, [OWNER_TAG]: ownIdentity() };
    const isSpaced = options.network === "namespaces";
    const plan = layOut(folder, isSpaced ? innerPrefix(block.prefix) : block.prefix, options);
    const plans = [plan.manager, ...plan.storage, ...plan.heads];
    try {
      const network = isSpaced
        ? await Network.create(join(folder, "network"), plans, environment)
        : undefined;
      const gate = options.gate === true ? await MessageGate.open(plans) : undefined;
      return new TestCluster(folder, block, plan, environment, { network, gate }, options.absent ?? []);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      block.release();
      throw error;
    }
  }

  /** For cutting links. @throws if the servers are not in namespaces of their own */
  get network(): Network {
    if (this.between.network === undefined) throw new Error('this cluster has no `network: "namespaces"`');
    return this.between.network;
  }

  /** For messages between manager and agents. @throws if none is in between */
  get gate(): MessageGate {
    if (this.between.gate === undefined) throw new Error("this cluster has no `gate: true`");
    return this.between.gate;
  }

  get servers(): readonly TestServer[] {
    return [this.manager, ...this.storage, ...this.heads];
  }

  protected get managerAt() {
    return { host: this.manager.rpcAddress, port: MANAGER_PORT };
  }

  async isManagerRunning(): Promise<boolean> {
    return this.manager.control().length > 0;
  }

  get managerUrl(): string {
    return `http://${this.manager.rpcAddress}:${MANAGER_PORT}/`;
  }

  /** Starts every server and waits until all space is usable. */
  async start(): Promise<void> {
    for (const server of this.servers) {
      server.prepare();
      if (!this.absent.includes(server.plan.name)) server.up();
    }
    await this.waitUntilUsable();
  }

  /** Every server is registered and up, and every gigabyte is clean or in use. */
  async waitUntilUsable(): Promise<void> {
    const there = this.storage.filter((server) => !this.absent.includes(server.plan.name));
    const disks = there.reduce((sum, server) => sum + server.plan.disks.length, 0);
    await this.waitUntilAllUp({ heads: this.heads.length, storage: there.length, disks });
  }

  /** The end of every log, for the report of a failed test. */
  logTails(): string {
    return this.servers.map((server) => `--- ${server.plan.name}\n${server.logTail()}`).join("\n");
  }

  /** Ends every process and removes every file. */
  async destroy(): Promise<void> {
    this.hangUp();
    // A frozen process dies of SIGKILL all the same.
    await Promise.all(this.servers.map((server) => killAll(server.processes)));
    this.between.gate?.close();
    await this.between.network?.close();
    rmSync(this.folder, { recursive: true, force: true });
    this.block.release();
  }
}
