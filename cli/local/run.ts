import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../shared/clock.js";
import type { ClusterStatus } from "../../shared/methods/manager-methods.js";
import { BindStatus } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import { createXmlRpcClient } from "../../shared/xmlrpc/client.js";
import { createManagerClient, type ManagerClient } from "../client.js";
import { shortFolder } from "./folder.js";
import { type ClusterPlan, MANAGER_PORT } from "./plan.js";
import { findProcesses, killAll } from "./processes.js";
import { LocalServer, type ServerPlan } from "./server.js";

/** After this the others are started all the same. */
const REGISTER_TIMEOUT: Milliseconds = 3_000;
const ANSWER_TIMEOUT: Milliseconds = 1_000;
const STOP_TIMEOUT: Milliseconds = 10_000;
const DETACH_TIMEOUT: Milliseconds = 15_000;

const AGENT_PORTS = { manager: MANAGER_PORT, head: 8882, storage: 8883 } as const;

/** True if the agent of a server answers. A storage agent answers when it serves the disks that it knows. */
async function answers({ kind, address: host }: ServerPlan): Promise<boolean> {
  const addresses = [{ host, port: AGENT_PORTS[kind] }];
  const agent = createXmlRpcClient({ addresses, timeoutMs: ANSWER_TIMEOUT, maxResponseBytes: 65_536 });
  try {
    await agent.call("helloWorld", {});
    return true;
  } catch {
    return false;
  } finally {
    agent.close();
  }
}

/** All servers of a local cluster, and what is done to them together. */
export class LocalRun {
  readonly manager: LocalServer;
  readonly storage: readonly LocalServer[];
  readonly heads: readonly LocalServer[];
  readonly client: ManagerClient;

  constructor(
    plan: ClusterPlan,
    readonly folder: string,
    private readonly say: (line: string) => void,
  ) {
    this.manager = new LocalServer(plan.manager);
    this.storage = plan.storage.map((server) => new LocalServer(server));
    this.heads = plan.heads.map((server) => new LocalServer(server));
    this.client = createManagerClient([{ host: plan.manager.address, port: MANAGER_PORT }]);
  }

  get servers(): readonly LocalServer[] {
    return [this.manager, ...this.storage, ...this.heads];
  }

  /** Processes of an earlier run whose starter was killed. */
  readonly leftOver = () => findProcesses((folder) => folder.startsWith(`${shortFolder(this.folder)}/`));

  /**
   * Starts everything, one server after the other, so that at the first start ids follow the names: `storage-2` is
   * ssvr-00000002.
   */
  async start(environment: NodeJS.ProcessEnv, proceed: () => boolean): Promise<void> {
    for (const server of this.servers) {
      if (!proceed()) return;
      server.prepare();
      server.start(environment);
      if (server !== this.manager) await this.waitUntilRegistered(server, proceed);
    }
  }

  private async waitUntilRegistered({ plan }: LocalServer, proceed: () => boolean): Promise<void> {
    const deadline = systemClock.monotonic() + REGISTER_TIMEOUT;
    const method = plan.kind === "head" ? "listHeadServers" : "listStorageServers";
    while (proceed() && systemClock.monotonic() < deadline) {
      const servers = await this.client.call(method, {}).catch(() => []);
      // Known from an earlier start, it must be there now as well.
      if (servers.some(({ ip_data }) => ip_data.includes(plan.address)) && (await answers(plan))) return;
      await pause(50);
    }
  }

  /** Waits until every disk is registered and its space is clean. @returns the last status, or undefined if none came. */
  async waitUntilUsable(timeout: Milliseconds, proceed: () => boolean): Promise<ClusterStatus | undefined> {
    const deadline = systemClock.monotonic() + timeout;
    let status: ClusterStatus | undefined;
    while (proceed() && systemClock.monotonic() < deadline) {
      status = await this.client.call("getClusterStatus", {}).catch(() => undefined);
      if (status !== undefined && this.isUsable(status)) return status;
      await pause(200);
    }
    return status;
  }

  isUsable(status: ClusterStatus): boolean {
    const allUp = (counts: { readonly up: number }, wanted: number): boolean => counts.up >= wanted;
    return (
      allUp(status.head_servers, this.heads.length) &&
      allUp(status.disks, this.storage.length) &&
      status.capacity.unshredded === 0
    );
  }

  /** Detaches what can be detached, then stops heads, storage servers and manager, in this order. */
  async stop(): Promise<void> {
    if (this.manager.control().length > 0) await Promise.race([this.detachAll(), pause(DETACH_TIMEOUT)]);
    for (const group of [this.heads, this.storage, [this.manager]]) {
      await Promise.all(group.map((server) => this.stopServer(server)));
    }
  }

  /** Ends everything at once. */
  async kill(): Promise<void> {
    await killAll(this.leftOver);
  }

  private async stopServer(server: LocalServer): Promise<void> {
    const orderly = await server.stop(STOP_TIMEOUT);
    this.say(
      orderly ? `${server.plan.name} has ended` : `${server.plan.name} did not end in time and was killed`,
    );
  }

  private async detachAll(): Promise<void> {
    try {
      const volumes = await this.client.call("listLogicalVolumes", {});
      const attached = volumes.filter((volume) => volume.bind_status !== BindStatus.UNBOUND);
      await Promise.all(attached.map(({ lvolid, lvolname }) => this.detach(lvolid, lvolname)));
    } catch (error) {
      this.say(`volumes can't be detached: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private async detach(lvolid: number, name: string): Promise<void> {
    try {
      await this.client.call("detachLogicalVolume", { lvolid });
      this.say(`volume ${name} is detached`);
    } catch (error) {
      this.say(`volume ${name} can't be detached: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
