import { mirrorsToHeal } from "../store/mirrors-to-heal.js";
import { allStorageServers, type StorageServerRow } from "../store/servers.js";
import type { Operation } from "./operation.js";

export interface MirrorsToHeal {
  readonly mirrorids: readonly number[];
  readonly servers: readonly StorageServerRow[];
}

/** Mirrors that may need healing, and the state of all servers. */
export const listMirrorsToHeal: Operation<Record<string, never>, MirrorsToHeal> = async (tx) => ({
  mirrorids: await mirrorsToHeal(tx),
  servers: await allStorageServers(tx),
});
