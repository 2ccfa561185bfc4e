import type { Identity } from "../common/identity.js";
import type { ManagerClient } from "../common/manager-client.js";
import { Refusals } from "./refusals.js";
import { type DiskRegistrationOptions, registerDisk } from "./register-disk.js";

export interface RegistrationOptions extends DiskRegistrationOptions {
  readonly manager: Pick<ManagerClient, "call">;
  readonly identity: Identity;
  readonly addresses: readonly string[];
  /** Of our XML-RPC door. */
  readonly port: number;
  readonly bootId: string;
  readonly zone: string;
}

/**
 * Registers this server and its disks, each time it is called; what fails at one disk is retried with all of them. A disk
 * that is refused, such as one that was reported as failed, is no failure: it is offered again with the others.
 */
export function createRegistration(options: RegistrationOptions): (signal: AbortSignal) => Promise<void> {
  const { manager, identity, inventory, addresses, port, bootId, zone } = options;
  const refusals = new Refusals(options.log);
  let starting = true;
  return async (signal) => {
    const { cluster, serial } = await manager.call("identifyCluster", {}, { signal });
    await identity.admit(cluster, serial);
    const ssvrid = await manager.call(
      "registerStorageServer",
      { ip_data: [...addresses], port, boot_id: bootId, starting, ...(zone === "" ? {} : { zone }) },
      { signal },
    );
    starting = false;
    const failures: unknown[] = [];
    for (const disk of await inventory.scan()) {
      signal.throwIfAborted();
      try {
        await registerDisk(options, ssvrid, disk, signal);
        refusals.forget(disk.path);
      } catch (error) {
        if (!refusals.note(disk.path, error)) failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  };
}
