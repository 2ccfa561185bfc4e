import type { AgentAddress } from "../../shared/agent-address.js";
import type { Tx } from "../store/open-store.js";
import { findStorageServer } from "../store/servers.js";
import {
  deleteUnrevoked,
  insertUnrevoked,
  serversToRevoke,
  type UnrevokedRow,
  unrevokedOfServer,
} from "../store/unrevoked.js";
import type { VolumeRow } from "../store/volumes.js";
import type { Operation } from "./operation.js";
import { storageAgent } from "./read-attachment.js";

/** Part of an operation: a closed epoch was not revoked at some servers, since they could not be asked. */
export async function revokeLater(
  tx: Tx,
  { lvolid, epoch }: Pick<VolumeRow, "lvolid" | "epoch">,
  ssvrids: readonly number[],
): Promise<void> {
  for (const ssvrid of ssvrids) {
    // It may have been deleted since it was asked.
    if ((await findStorageServer(tx, ssvrid)) !== undefined)
      await insertUnrevoked(tx, { ssvrid, lvolid, epoch });
  }
}

/** A server that is back, and the closed epochs that it has not revoked yet. */
export interface ReturnedServer {
  readonly ssvrid: number;
  readonly agent: AgentAddress;
  readonly epochs: readonly UnrevokedRow[];
}

export const listUnrevoked: Operation<Record<string, never>, ReturnedServer[]> = async (tx) => {
  const servers: ReturnedServer[] = [];
  for (const ssvrid of await serversToRevoke(tx)) {
    const epochs = await unrevokedOfServer(tx, ssvrid);
    servers.push({ ssvrid, agent: await storageAgent(tx, ssvrid), epochs });
  }
  return servers;
};

/** The server has revoked it. */
export const recordRevoked: Operation<UnrevokedRow, void> = async (tx, row) => deleteUnrevoked(tx, row);
