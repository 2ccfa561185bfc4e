import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type ClusterOptions, MANAGER_PORT, planCluster } from "../../cli/local/plan.js";
import { killAll } from "../../cli/local/processes.js";
import { linearOf, type SnapshotNode, type VolumeNode } from "../../shared/layout-tree.js";
import type {
  ClusterStatus,
  ManagerMethodName,
  managerMethods,
} from "../../shared/methods/manager-methods.js";
import type { ParamsOf, ResultOf } from "../../shared/methods/method.js";
import { MemberStatus, XMLRPC_VERSION } from "../../shared/states.js";
import { createXmlRpcClient, type XmlRpcClient } from "../../shared/xmlrpc/client.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { type AddressBlock, claimAddresses } from "./addresses.js";
import { makeTestFolder, OWNER_TAG, ownIdentity } from "./orphans.js";
import { TestServer } from "./test-server.js";
import { waitUntil } from "./wait-until.js";

export type TestClusterOptions = Partial<
  Pick<
    ClusterOptions,
    "storageServers" | "headServers" | "disksPerServer" | "diskGb" | "manager" | "storage" | "head"
  >
>;

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

type Api = <M extends ManagerMethodName>(
  method: M,
  params: ParamsOf<(typeof managerMethods)[M]>,
) => Promise<ResultOf<(typeof managerMethods)[M]>>;

/** A cluster of real processes, in a temporary folder and on addresses of its own. */
export class TestCluster {
  readonly manager: TestServer;
  readonly storage: readonly TestServer[];
  readonly heads: readonly TestServer[];
  private readonly rpc: XmlRpcClient;

  private constructor(
    readonly folder: string,
    private readonly block: AddressBlock,
    options: TestClusterOptions,
  ) {
    const plan = planCluster({
      folder,
      runFolder: join(folder, "run"),
      addresses: block.prefix,
      storageServers: options.storageServers ?? 4,
      headServers: options.headServers ?? 1,
      disksPerServer: options.disksPerServer ?? 1,
      diskGb: options.diskGb ?? 4,
      logFormat: "pretty",
      manager: { ...quickManager, ...options.manager },
      storage: { ...options.storage },
      head: { ...quickHead, ...options.head },
    });
    const environment = { ...process.env, [OWNER_TAG]: ownIdentity() };
    this.manager = new TestServer(plan.manager, environment);
    this.storage = plan.storage.map((server) => new TestServer(server, environment));
    this.heads = plan.heads.map((server) => new TestServer(server, environment));
    this.rpc = createXmlRpcClient({
      addresses: [{ host: plan.manager.address, port: MANAGER_PORT }],
      timeoutMs: 120_000,
      maxResponseBytes: 64 * 1024 * 1024,
    });
  }

  /** Makes a cluster and starts nothing yet. */
  static async create(options: TestClusterOptions = {}): Promise<TestCluster> {
    if (!existsSync(new URL("../../dist/manager/main.js", import.meta.url))) {
      throw new Error("the programs are not built; run `npm run build`, or the tests with `npm test`");
    }
    const block = await claimAddresses();
    return new TestCluster(makeTestFolder(), block, options);
  }

  get servers(): readonly TestServer[] {
    return [this.manager, ...this.storage, ...this.heads];
  }

  get managerUrl(): string {
    return `http://${this.manager.plan.address}:${MANAGER_PORT}/`;
  }

  /** Starts every server and waits until all space is usable. */
  async start(): Promise<void> {
    for (const server of this.servers) {
      server.prepare();
      server.up();
    }
    await this.waitUntilUsable();
  }

  /** Calls the manager's API; `ver` is added. */
  readonly api: Api = async (method, params) =>
    (await this.raw(method, { ver: XMLRPC_VERSION, ...params })) as never;

  /** Calls the manager with exactly these members, right or wrong. */
  raw(method: string, members: XmlRpcStruct): Promise<XmlRpcValue> {
    return this.rpc.call(method, members);
  }

  status(): Promise<ClusterStatus> {
    return this.api("getClusterStatus", {});
  }

  /** Every server is registered and up, and every gigabyte is clean or in use. */
  async waitUntilUsable(): Promise<void> {
    const disks = this.storage.reduce((sum, server) => sum + server.plan.disks.length, 0);
    await waitUntil("all servers are up and all disks are shredded", async () => {
      const { head_servers, storage_servers, disks: seen, capacity } = await this.status();
      const up = head_servers.up === this.heads.length && storage_servers.up === this.storage.length;
      return up && seen.up === disks && capacity.unshredded === 0;
    });
  }

  /** Every member of every volume is INSYNC, and none is on the servers named. */
  async waitUntilWhole(avoiding: readonly number[] = [], timeoutMs = 240_000): Promise<void> {
    await waitUntil(
      `all members are in sync${avoiding.length === 0 ? "" : `, and none on ssvr ${avoiding.join(" ")}`}`,
      async () => {
        for (const { lvolid } of await this.api("listLogicalVolumes", {})) {
          const members = membersOf(await this.api("showLogicalVolume", { lvolid }));
          const good = members.every(
            (extent) =>
              extent.mirror_status === MemberStatus.INSYNC && !avoiding.includes(extent.lvolspec.ssvrid),
          );
          if (!good) return false;
        }
        return true;
      },
      timeoutMs,
    );
  }

  async storageServerId(server: TestServer): Promise<number> {
    const found = (await this.api("listStorageServers", {})).find(({ ip_data }) =>
      ip_data.includes(server.plan.address),
    );
    if (found === undefined) throw new Error(`${server.plan.name} is not registered`);
    return found.ssvrid;
  }

  async headServerId(server: TestServer): Promise<number> {
    const found = (await this.api("listHeadServers", {})).find(({ ip_data }) =>
      ip_data.includes(server.plan.address),
    );
    if (found === undefined) throw new Error(`${server.plan.name} is not registered`);
    return found.hsvrid;
  }

  /** What the manager finds wrong with its own state: nothing, or the test has found a defect. */
  check(): Promise<readonly string[]> {
    return this.api("checkState", {});
  }

  /** The end of every log, for the report of a failed test. */
  logTails(): string {
    return this.servers.map((server) => `--- ${server.plan.name}\n${server.logTail()}`).join("\n");
  }

  /** Ends every process and removes every file. */
  async destroy(): Promise<void> {
    this.rpc.close();
    // A frozen process dies of SIGKILL all the same.
    await Promise.all(this.servers.map((server) => killAll(server.processes)));
    rmSync(this.folder, { recursive: true, force: true });
    this.block.release();
  }
}

/** All disk extents of a volume, mirror by mirror. */
export function membersOf(volume: VolumeNode | SnapshotNode) {
  return mirrorsOf(volume).flatMap((mirror) => mirror.components);
}

export function mirrorsOf(volume: VolumeNode | SnapshotNode) {
  return linearOf(volume).components;
}
