import type { AgentAddress } from "../../shared/agent-address.js";
import { showHeadServer, showStorageServer } from "../../shared/ids.js";
import { FailureTarget, Priority } from "../../shared/states.js";
import { priorityOfDisk, priorityOfServer } from "../domain/evacuation-rules.js";
import { isUp } from "../domain/member-rules.js";
import { listDisks, moveDisksOfServer, updateDisk } from "../store/disks.js";
import { EventType, recordChange, recordEvent } from "../store/events.js";
import {
  addressesByServer,
  allHeadServers,
  allStorageServers,
  findHeadServer,
  findStorageServer,
  type ServerKind,
  updateHeadServer,
  updateStorageServer,
} from "../store/servers.js";
import { volumesOfHead } from "../store/volumes.js";
import { endMaintenance } from "./end-maintenance.js";
import type { Operation } from "./operation.js";

/** A server that the server check asks. */
export interface WatchedServer {
  readonly kind: ServerKind;
  readonly id: number;
  readonly agent: AgentAddress;
  /** It did not answer before. */
  readonly silent: boolean;
}

/** Servers that should answer: those in use, and those that fell silent. */
export const listWatchedServers: Operation<Record<string, never>, WatchedServer[]> = async (tx) => {
  const heads = await addressesByServer(tx, "head");
  const storage = await addressesByServer(tx, "storage");
  const watched: WatchedServer[] = [];
  for (const { hsvrid: id, priority, silent, port } of await allHeadServers(tx)) {
    if (!isUp(priority) && silent === 0) continue;
    watched.push({ kind: "head", id, agent: { addresses: heads.get(id) ?? [], port }, silent: silent === 1 });
  }
  for (const { ssvrid: id, priority, silent, lost, port } of await allStorageServers(tx)) {
    if ((!isUp(priority) && silent === 0) || lost === 1) continue;
    watched.push({
      kind: "storage",
      id,
      agent: { addresses: storage.get(id) ?? [], port },
      silent: silent === 1,
    });
  }
  return watched;
};

interface ServerRef {
  readonly kind: ServerKind;
  readonly id: number;
}

/** A server did not answer twice: OFFLINE by silence. It gets nothing new; what it holds stays what it is (R2). */
export const markSilent: Operation<ServerRef, void> = async (tx, { kind, id }, context) => {
  const server = kind === "head" ? await findHeadServer(tx, id) : await findStorageServer(tx, id);
  if (server === undefined || !isUp(server.priority)) return;
  const change = { priority: Priority.OFFLINE, silent: 1 } as const;
  if (kind === "head") {
    await updateHeadServer(tx, id, change);
    for (const volume of await volumesOfHead(tx, id)) await endMaintenance(tx, volume, context);
  } else {
    await updateStorageServer(tx, id, change);
    await moveDisksOfServer(tx, id, [Priority.HIGH, Priority.LOW, Priority.EVACUATE], Priority.OFFLINE);
  }
  const { name, ...about } = describeServer({ kind, id });
  const sentence = `${name} does not answer`;
  await recordEvent(tx, { ...about, event: EventType.ABNORMAL, sentence }, context);
};

function describeServer({ kind, id }: ServerRef): { target: number; targetid: number; name: string } {
  return kind === "head"
    ? { target: FailureTarget.HSVR, targetid: id, name: `head server ${showHeadServer(id)}` }
    : { target: FailureTarget.SSVR, targetid: id, name: `storage server ${showStorageServer(id)}` };
}

/** A server that had fallen silent answers again: it is as it was, unless someone declared it lost meanwhile. */
export const markHeard: Operation<ServerRef, void> = async (tx, { kind, id }, context) => {
  const { name, ...about } = describeServer({ kind, id });
  const change = { ...about, sentence: `${name} answers again` };
  if (kind === "head") {
    const head = await findHeadServer(tx, id);
    if (head?.silent !== 1) return;
    await updateHeadServer(tx, id, { priority: Priority.HIGH, silent: 0 });
    return recordChange(tx, change, context);
  }
  const server = await findStorageServer(tx, id);
  if (server?.silent !== 1 || server.lost === 1) return;
  await updateStorageServer(tx, id, { priority: priorityOfServer(server), silent: 0 });
  for (const disk of await listDisks(tx, id)) {
    if (disk.priority !== Priority.OFFLINE) continue;
    await updateDisk(tx, disk.pdskid, { priority: priorityOfDisk(disk) });
  }
  await recordChange(tx, change, context);
};
