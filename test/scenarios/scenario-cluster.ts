import type { Bytes } from "../../shared/units.js";
import type { Api } from "../harness/managed-cluster.js";

/** A volume or a snapshot as the user of a head server has it: some bytes, whatever the data plane is. */
export interface ScenarioVolume {
  /** All of it is acknowledged when this returns. @param seed names the data */
  write(offset: Bytes, length: Bytes, seed: string): Promise<void>;
  /** @throws if these bytes are not what `write` writes with this seed */
  verify(offset: Bytes, length: Bytes, seed: string): Promise<void>;
  /** A checksum of what can be read there. */
  digest(offset: Bytes, length: Bytes): Promise<string>;
  /** What was acknowledged is durable when this returns. */
  flush(): Promise<void>;
  /** The volume is not in use by us any more. */
  close(): Promise<void>;
}

/** What a scenario does to a cluster, whichever its data plane is and wherever its servers run. */
export interface ScenarioCluster {
  readonly api: Api;
  /** From now on nobody reaches this storage server, nor the disks that it exports. */
  lose(ssvrid: number): Promise<void>;
  /** What was lost is back, as it was. */
  regain(ssvrid: number): Promise<void>;
  /** Opens a volume or a snapshot that is attached to this head server. */
  open(hsvrid: number, name: string): Promise<ScenarioVolume>;
  /** Every member of every volume is INSYNC, and none is on the servers named. */
  waitUntilWhole(avoiding: readonly number[]): Promise<void>;
  /** The manager's state is sound, and agents hold what it says. */
  expectConsistent(): Promise<void>;
}
