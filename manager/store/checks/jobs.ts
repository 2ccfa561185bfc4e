import { showExtent, showVolume } from "../../../shared/ids.js";
import { JobStatus } from "../../../shared/states.js";
import type { Tx } from "../open-store.js";

/** Jobs about a volume; all others are about an extent. */
const ABOUT_VOLUMES = ["attach", "detach", "fence", "end-maintenance", "create-snapshot", "delete-snapshot"];
const ABOUT_EXTENTS = ["resync", "shred"];

/** Open jobs are about something that exists. */
export async function checkJobs(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("job")
    .leftJoin("volume", "volume.lvolid", "job.subject")
    .leftJoin("extent", "extent.dextid", "job.subject")
    .where("job.status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
    .select(["job.jobid", "job.kind", "job.subject", "volume.lvolid", "extent.dextid"])
    .orderBy("job.jobid")
    .execute();
  return rows.flatMap(({ jobid, kind, subject, lvolid, dextid }) => {
    if (ABOUT_VOLUMES.includes(kind)) {
      return lvolid === null
        ? [`job ${jobid} (${kind}) is about ${showVolume(subject)}, which does not exist`]
        : [];
    }
    if (ABOUT_EXTENTS.includes(kind)) {
      return dextid === null
        ? [`job ${jobid} (${kind}) is about ${showExtent(subject)}, which does not exist`]
        : [];
    }
    return [`job ${jobid} is of an unknown kind, "${kind}"`];
  });
}
