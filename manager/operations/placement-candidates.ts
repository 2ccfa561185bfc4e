import type { Candidate } from "../layout/candidates.js";
import { listDisks } from "../store/disks.js";
import { freeRangesOf } from "../store/free-ranges.js";
import { runningJobs } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { allStorageServers } from "../store/servers.js";

/** Every disk of the cluster as the layout wants to see it: state, free runs, and how busy it is. */
export async function placementCandidates(tx: Tx): Promise<Candidate[]> {
  const servers = new Map((await allStorageServers(tx)).map((server) => [server.ssvrid, server]));
  const free = new Map<number, { offset: number; length: number }[]>();
  for (const { pdskid, offset, length } of await freeRangesOf(tx)) {
    const list = free.get(pdskid);
    if (list === undefined) free.set(pdskid, [{ offset, length }]);
    else list.push({ offset, length });
  }
  const resyncs = new Map<number, number>();
  for (const job of await runningJobs(tx)) {
    if (job.kind === "resync" && job.pdskid !== null)
      resyncs.set(job.pdskid, (resyncs.get(job.pdskid) ?? 0) + 1);
  }
  const candidates: Candidate[] = [];
  for (const disk of await listDisks(tx)) {
    const server = servers.get(disk.ssvrid);
    if (server === undefined) continue;
    candidates.push({
      pdskid: disk.pdskid,
      ssvrid: disk.ssvrid,
      zone: server.zone,
      capacity: disk.capacity,
      priority: disk.priority,
      serverPriority: server.priority,
      resyncs: resyncs.get(disk.pdskid) ?? 0,
      free: free.get(disk.pdskid) ?? [],
    });
  }
  return candidates;
}
