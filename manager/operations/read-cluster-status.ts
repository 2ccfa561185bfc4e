import { showDisk, showStorageServer } from "../../shared/ids.js";
import type { ClusterStatus, JobInfo } from "../../shared/methods/manager-methods.js";
import { BindStatus, JobStatus } from "../../shared/states.js";
import { describeRemainder, isNothing } from "../domain/evacuation-rules.js";
import { isUp } from "../domain/member-rules.js";
import { isSnapshot } from "../domain/snapshot-rules.js";
import { shownBinding } from "../domain/volume-rules.js";
import { freeSpaceByDisk, listDisks, unshreddedByDisk } from "../store/disks.js";
import { evacuatedDisks, evacuatedServers } from "../store/evacuations.js";
import { type JobRow, openJobs } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { allHeadServers, allStorageServers } from "../store/servers.js";
import { allVolumes, degradedVolumes, type VolumeRow } from "../store/volumes.js";
import { describeDifferences } from "./compare-mirror.js";
import type { Operation } from "./operation.js";

/** What the manager's processes know besides the state. */
export interface StatusSources {
  readonly cluster: string;
  readonly serial: number;
  readonly notices: readonly string[];
  readonly progressOf: (jobid: number) => number;
}

/** At most so many jobs are listed, the oldest first. */
const MAX_JOBS = 200;
/** At most so many volumes are named, and so many differences of copies. */
const MAX_NAMED = 20;

/** Health at a glance. */
export const readClusterStatus: Operation<StatusSources, ClusterStatus> = async (tx, sources) => {
  const heads = await allHeadServers(tx);
  const servers = await allStorageServers(tx);
  const disks = await listDisks(tx);
  const volumes = await allVolumes(tx);
  const degraded = await degradedVolumes(tx);
  const free = await freeSpaceByDisk(tx);
  const unshredded = await unshreddedByDisk(tx);
  const jobs = await openJobs(tx);
  const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
  const up = <T extends { priority: JobRowPriority }>(rows: readonly T[]): number =>
    rows.filter((row) => isUp(row.priority)).length;

  const notices = [...sources.notices];
  const troubled = volumes.flatMap((volume) => describeTrouble(volume, degraded) ?? []);
  notices.push(...troubled.slice(0, MAX_NAMED));
  if (troubled.length > MAX_NAMED)
    notices.push(`${troubled.length - MAX_NAMED} more volumes are degraded or in error`);
  const different = await describeDifferences(tx);
  notices.push(...different.slice(0, MAX_NAMED));
  if (different.length > MAX_NAMED)
    notices.push(`the copies of ${different.length - MAX_NAMED} more GB differ`);
  const down = [
    [heads.length - up(heads), "head server"],
    [servers.length - up(servers), "storage server"],
    [disks.length - up(disks), "disk"],
  ] as const;
  for (const [count, what] of down)
    if (count > 0) notices.push(`${count} ${what}${count === 1 ? " is" : "s are"} down`);

  // What a person asked for is no fault.
  const healthy = notices.length === 0;
  notices.push(...(await describeEvacuations(tx)));

  return {
    cluster: sources.cluster,
    serial: sources.serial,
    healthy,
    notices,
    volumes: {
      total: volumes.filter((volume) => !isSnapshot(volume)).length,
      attached: volumes.filter((volume) => shownBinding(volume).bind_status === BindStatus.BOUND).length,
      degraded: degraded.size,
    },
    head_servers: { total: heads.length, up: up(heads) },
    storage_servers: { total: servers.length, up: up(servers) },
    disks: { total: disks.length, up: up(disks) },
    capacity: {
      total: sum(disks.map((disk) => disk.capacity)),
      available: sum(free.values()),
      unshredded: sum(unshredded.values()),
    },
    jobs: jobs.slice(0, MAX_JOBS).map((job) => describeJob(job, sources)),
  };
};

async function describeEvacuations(tx: Tx): Promise<string[]> {
  const disks = (await evacuatedDisks(tx)).map((row) => [`disk ${showDisk(row.pdskid)}`, row] as const);
  const servers = (await evacuatedServers(tx)).map(
    (row) => [`storage server ${showStorageServer(row.ssvrid)}`, row] as const,
  );
  const sentences = [...disks, ...servers].map(([what, left]) =>
    isNothing(left)
      ? `${what} is evacuated: it can be deleted`
      : `${what} is being evacuated: ${describeRemainder(left)}`,
  );
  const omitted = sentences.length - MAX_NAMED;
  if (omitted <= 0) return sentences;
  return [...sentences.slice(0, MAX_NAMED), `${omitted} more are being evacuated`];
}

function describeTrouble(volume: VolumeRow, degraded: ReadonlySet<number>): string | undefined {
  const { lvolid, lvolname, bind_status, bind_error } = volume;
  const name = isSnapshot(volume) ? `snapshot ${lvolname}` : `volume ${lvolname}`;
  if (volume.snapshot_lost === 1) return `${name} is INVALID: its content is lost; delete it`;
  if (bind_status === BindStatus.ERROR) return `${name}: ${bind_error}`;
  return degraded.has(lvolid) ? `${name} is degraded: not all of its copies are in sync` : undefined;
}

type JobRowPriority = Parameters<typeof isUp>[0];

function describeJob(job: JobRow, sources: StatusSources): JobInfo {
  return {
    jobid: job.jobid,
    kind: job.kind,
    subject: job.description,
    status: job.status,
    attempts: job.attempts,
    last_error: job.last_error,
    progress: job.status === JobStatus.RUNNING ? sources.progressOf(job.jobid) : -1,
  };
}
