import { join } from "node:path";
import type { Config } from "../../shared/config.js";
import { VasError } from "../../shared/errors.js";
import { ownerTag } from "../../shared/iscsi-names.js";
import type { Log } from "../../shared/log.js";
import type { DataPlane } from "./data-plane.js";
import { Exports } from "./exports.js";
import type { GrantsDocument } from "./grants.js";
import { findTargets } from "./kernel/find-targets.js";
import { KernelExports } from "./kernel/kernel-exports.js";

export interface OpenExportsOptions {
  readonly config: Config;
  readonly addresses: readonly string[];
  readonly bootId: string;
  readonly grantsOf: (pdskid: number) => GrantsDocument;
  /** Called when a disk failed a write or a flush. */
  readonly onDiskFailed: (pdskid: number) => void;
  readonly log: Log;
}

/**
 * Exports by the data plane of the configuration. What an earlier life of ours exported by the other one must not go
 * on: nobody would hold it to the grants.
 *
 * @throws VasError if the data plane can't be had here, or the other one is still in use
 */
export async function openExports(options: OpenExportsOptions): Promise<DataPlane> {
  const { config, addresses, bootId, grantsOf, log } = options;
  const { data_plane, state_dir } = config.ssvr_agent;
  const byNbd = await openNbd(options);
  if (data_plane === "kernel") {
    await byNbd.endStrangers();
    const { iqn_prefix: iqnPrefix, port } = config.iscsi;
    return KernelExports.open({ stateFolder: state_dir, iqnPrefix, bootId, addresses, port, grantsOf, log });
  }
  const [target] = await findTargets(ownerTag(state_dir));
  if (target === undefined) return byNbd;
  throw new VasError(
    "EBUSY",
    `disks are still exported as ${target.name}; set data_plane = kernel again, and end the agent by SIGUSR2 first`,
  );
}

function openNbd({ config, ...options }: OpenExportsOptions): Promise<Exports> {
  const { state_dir, nbd_port } = config.ssvr_agent;
  return Exports.open({
    folder: join(state_dir, "exports"),
    entry: join(import.meta.dirname, "nbd", "export-main.js"),
    firstPort: nbd_port,
    logFormat: config.log.format,
    logLevel: config.log.level,
    ...options,
  });
}
