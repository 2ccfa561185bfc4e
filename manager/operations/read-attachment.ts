import type { AgentAddress } from "../../shared/agent-address.js";
import type { VolumeNode } from "../../shared/layout-tree.js";
import type { GrantedExtent } from "../../shared/methods/agent-methods.js";
import { isGranted, isUp } from "../domain/member-rules.js";
import { isUsable } from "../domain/snapshot-rules.js";
import { membersOfAttachment } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { addressesOf, findHeadServer, findStorageServer } from "../store/servers.js";
import { findVolume, type VolumeRow } from "../store/volumes.js";
import { readLayoutTree } from "./layout-tree.js";
import type { Operation } from "./operation.js";

/** What one storage server must be told of a volume. */
export interface ServerGrant {
  readonly ssvrid: number;
  readonly agent: AgentAddress;
  /** In use, as far as the manager knows. */
  readonly isUp: boolean;
  readonly extents: readonly GrantedExtent[];
}

/** All that a job needs to talk to agents about a volume, as it is in one instant. */
export interface Attachment {
  readonly volume: VolumeRow;
  /** With the snapshots that a head is to serve and to keep. */
  readonly tree: VolumeNode;
  /** The head server that the volume is bound to; undefined if none. */
  readonly head: AgentAddress | undefined;
  readonly grants: readonly ServerGrant[];
}

export async function storageAgent(tx: Tx, ssvrid: number): Promise<AgentAddress> {
  const server = await findStorageServer(tx, ssvrid);
  return { addresses: await addressesOf(tx, "storage", ssvrid), port: server?.port ?? 0 };
}

/**
 * Part of an operation: the grants that the storage servers of a volume and its snapshots must hold now, one per server,
 * by id. Space of a snapshot that is lost, or being deleted, is among them: its head may have requests under way there.
 */
export async function readGrants(tx: Tx, lvolid: number): Promise<ServerGrant[]> {
  const byServer = new Map<number, GrantedExtent[]>();
  for (const member of await membersOfAttachment(tx, lvolid)) {
    if (!isGranted(member)) continue;
    const { dextid, pdskid, offset, length, generation } = member;
    const list = byServer.get(member.ssvrid) ?? [];
    list.push({ dextid, pdskid, offset, capacity: length, generation });
    byServer.set(member.ssvrid, list);
  }
  const grants: ServerGrant[] = [];
  for (const [ssvrid, extents] of [...byServer].sort(([a], [b]) => a - b)) {
    const server = await findStorageServer(tx, ssvrid);
    const up = server !== undefined && isUp(server.priority);
    grants.push({ ssvrid, agent: await storageAgent(tx, ssvrid), isUp: up, extents });
  }
  return grants;
}

/** @returns undefined if there is no such volume. */
export const readAttachment: Operation<{ readonly lvolid: number }, Attachment | undefined> = async (
  tx,
  { lvolid },
) => {
  const volume = await findVolume(tx, lvolid);
  if (volume === undefined) return undefined;
  const head = volume.hsvrid === null ? undefined : await findHeadServer(tx, volume.hsvrid);
  return {
    volume,
    tree: await readLayoutTree(tx, volume, isUsable),
    head: head && { addresses: await addressesOf(tx, "head", head.hsvrid), port: head.port },
    grants: await readGrants(tx, lvolid),
  };
};
