import type { Identity } from "../common/identity.js";
import type { ManagerClient } from "../common/manager-client.js";
import type { Volumes } from "./volumes.js";

export interface RegistrationOptions {
  readonly manager: ManagerClient;
  readonly identity: Identity;
  readonly volumes: Volumes;
  readonly addresses: readonly string[];
  /** Of our XML-RPC door. */
  readonly port: number;
  readonly bootId: string;
}

/** Registers this head with the volumes that it serves, each time it is called. */
export function createRegistration(options: RegistrationOptions): (signal: AbortSignal) => Promise<void> {
  const { manager, identity, volumes, addresses, port, bootId } = options;
  let starting = true;
  return async (signal) => {
    const { cluster, serial, as_of } = await manager.call("identifyCluster", {}, { signal });
    await identity.admit(cluster, serial);
    const running = volumes.running();
    await manager.call(
      "registerHeadServer",
      { ip_data: [...addresses], port, boot_id: bootId, starting, as_of, running },
      { signal },
    );
    starting = false;
  };
}
