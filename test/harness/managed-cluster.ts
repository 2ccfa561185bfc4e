import type { ServerPlan } from "../../cli/local/server.js";
import {
  type ClusterStatus,
  type ManagerMethodName,
  managerMethods,
} from "../../shared/methods/manager-methods.js";
import type { ParamsOf, ResultOf } from "../../shared/methods/method.js";
import { MemberStatus, XMLRPC_VERSION } from "../../shared/states.js";
import { createXmlRpcClient, type XmlRpcClient } from "../../shared/xmlrpc/client.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { membersOf } from "./layout.js";
import { waitUntil } from "./wait-until.js";

export type Api = <M extends ManagerMethodName>(
  method: M,
  params: ParamsOf<(typeof managerMethods)[M]>,
) => Promise<ResultOf<(typeof managerMethods)[M]>>;

/** A server as the manager knows it: by its address. */
export interface KnownServer {
  readonly plan: Pick<ServerPlan, "name" | "address">;
}

/** What can be asked of the manager of a cluster, wherever its servers run. */
export abstract class ManagedCluster {
  #client: XmlRpcClient | undefined;

  /** Where the test reaches the manager's XML-RPC. */
  protected abstract readonly managerAt: { readonly host: string; readonly port: number };

  /** If there is a manager that could be asked. */
  abstract isManagerRunning(): Promise<boolean>;

  /** Calls the manager's API; `ver` is added. */
  readonly api: Api = async (method, params) => {
    const answer = await this.raw(method, { ver: XMLRPC_VERSION, ...params });
    // What travels is what the table of methods says.
    managerMethods[method].result.parse(answer);
    return answer as never;
  };

  /** Calls the manager with exactly these members, right or wrong. */
  raw(method: string, members: XmlRpcStruct): Promise<XmlRpcValue> {
    this.#client ??= createXmlRpcClient({
      addresses: [this.managerAt],
      timeoutMs: 120_000,
      maxResponseBytes: 64 * 1024 * 1024,
    });
    return this.#client.call(method, members);
  }

  status(): Promise<ClusterStatus> {
    return this.api("getClusterStatus", {});
  }

  /** So many servers and disks are registered and up, and every gigabyte is clean or in use. */
  protected async waitUntilAllUp(
    counts: { readonly heads: number; readonly storage: number; readonly disks: number },
    timeoutMs?: number,
  ): Promise<void> {
    await waitUntil(
      "all servers are up and all disks are shredded",
      async () => {
        const { head_servers, storage_servers, disks, capacity } = await this.status();
        const up = head_servers.up === counts.heads && storage_servers.up === counts.storage;
        return up && disks.up === counts.disks && capacity.unshredded === 0;
      },
      timeoutMs,
    );
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

  async storageServerId({ plan }: KnownServer): Promise<number> {
    const servers = await this.api("listStorageServers", {});
    const found = servers.find(({ ip_data }) => ip_data.includes(plan.address));
    if (found === undefined) throw new Error(`${plan.name} is not registered`);
    return found.ssvrid;
  }

  async headServerId({ plan }: KnownServer): Promise<number> {
    const servers = await this.api("listHeadServers", {});
    const found = servers.find(({ ip_data }) => ip_data.includes(plan.address));
    if (found === undefined) throw new Error(`${plan.name} is not registered`);
    return found.hsvrid;
  }

  /** What the manager finds wrong with its own state: nothing, or the test has found a defect. */
  async check(): Promise<readonly string[]> {
    return (await this.api("checkState", {})).findings;
  }

  /** Ends the connections to the manager. */
  protected hangUp(): void {
    this.#client?.close();
  }
}
