import { join } from "node:path";
import type { Gigabytes } from "../../shared/units.js";
import type { ConfSections, ServerPlan } from "./server.js";

/** Settings of one section, laid over those that the plan chooses. */
type Overrides = Readonly<Record<string, string | number | boolean>>;

export interface ClusterOptions {
  /** Holds one folder for each server; absolute. */
  readonly folder: string;
  /** Sockets of volumes go to `<runFolder>/head-N`; short, since a socket's path has at most 107 bytes. */
  readonly runFolder: string;
  /** First three bytes of every address with a dot behind them: `127.0.0.`. */
  readonly addresses: string;
  /** At most 10. */
  readonly storageServers: number;
  readonly headServers: number;
  readonly disksPerServer: number;
  /** Usable size of each disk. */
  readonly diskGb: Gigabytes;
  readonly logFormat: "json" | "pretty";
  readonly manager: Overrides;
  readonly storage: Overrides;
  readonly head: Overrides;
}

export interface ClusterPlan {
  readonly manager: ServerPlan;
  readonly storage: readonly ServerPlan[];
  readonly heads: readonly ServerPlan[];
  /** What a client of this cluster needs to know. */
  readonly clientConf: ConfSections;
}

/** Of every local cluster; they differ in their addresses. */
export const MANAGER_PORT = 8881;

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Lays a cluster out on this machine: all servers use the default ports, each on an address of its own. */
export function planCluster(options: ClusterOptions): ClusterPlan {
  const managerAddress = `${options.addresses}1`;
  const clientConf = { storage_manager: { host_list: managerAddress, port: MANAGER_PORT } };
  const log = { log: { format: options.logFormat } };
  const plan = (
    kind: ServerPlan["kind"],
    name: string,
    address: string,
    more: Partial<ServerPlan>,
  ): ServerPlan => ({
    kind,
    name,
    address,
    folder: join(options.folder, name),
    disks: [],
    diskGb: options.diskGb,
    conf: { ...clientConf, ...log, ...more.conf },
    ...(more.disks === undefined ? {} : { disks: more.disks }),
  });

  const storage = numbers(options.storageServers).map((number) => {
    const name = `storage-${number}`;
    const address = `${options.addresses}${10 + number}`;
    const folder = join(options.folder, name);
    const disks = numbers(options.disksPerServer).map((disk) => join(folder, `disk-${disk}.img`));
    const conf = {
      listen: address,
      state_dir: join(folder, "state"),
      disks: disks.join(" "),
      ...options.storage,
    };
    return plan("storage", name, address, { disks, conf: { ssvr_agent: conf } });
  });

  const heads = numbers(options.headServers).map((number) => {
    const name = `head-${number}`;
    const address = `${options.addresses}${20 + number}`;
    const conf = {
      listen: address,
      state_dir: join(options.folder, name, "state"),
      run_dir: join(options.runFolder, name),
      ...options.head,
    };
    return plan("head", name, address, { conf: { hsvr_agent: conf } });
  });

  const manager = plan("manager", "manager", managerAddress, {
    conf: {
      storage_manager: {
        ...clientConf.storage_manager,
        listen: managerAddress,
        database: join(options.folder, "manager", "manager.db"),
        ...options.manager,
      },
    },
  });
  return { manager, storage, heads, clientConf };
}
