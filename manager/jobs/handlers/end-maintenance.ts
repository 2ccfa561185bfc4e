import { VasError } from "../../../shared/errors.js";
import { EventStatus } from "../../../shared/states.js";
import { finishMaintenance, type LeavingHead, readLeavingHead } from "../../operations/end-maintenance.js";
import { JobGone } from "../../operations/held-job.js";
import type { JobRow } from "../../store/jobs.js";
import type { Handler, HandlerTools } from "../handler.js";
import { revokeEpoch } from "../revoke-epoch.js";
import { eventError, runAtHead } from "../wait-for-event.js";

/**
 * End-maintenance: the volume is free already. The epoch is revoked at the storage servers, and the head is told to end its
 * process. One that is out of use is not waited for: it can't reach anything with that epoch.
 */
export const endMaintenance: Handler = async (job, tools) => {
  const { epoch, hsvrid } = JSON.parse(job.payload) as { readonly epoch: number; readonly hsvrid: number };
  const leaving = await tools.executor.runQuietly(readLeavingHead, { lvolid: job.subject, hsvrid });
  if (leaving === undefined) throw new JobGone("the volume is gone");
  const [told, revoked] = await Promise.allSettled([
    tellHead(job, epoch, leaving, tools),
    revokeEpoch(leaving.attachment, tools, epoch),
  ]);
  if (revoked.status === "rejected") throw revoked.reason;
  if (told.status === "rejected") throw told.reason;
  const unreached = revoked.value;
  await tools.executor.run(finishMaintenance, { jobid: job.jobid, lvolid: job.subject, epoch, unreached });
};

/** @throws VasError if a head that is in use does not do it */
async function tellHead(
  job: JobRow,
  epoch: number,
  { head, isUp, attachment }: LeavingHead,
  tools: HandlerTools,
): Promise<void> {
  if (head === undefined) return;
  const params = { eventid: job.eventid, epoch, lvolstruct: attachment.tree };
  const deadline = tools.clock.monotonic() + tools.settings.detach_timeout * 1_000;
  try {
    const report = await runAtHead({ head, method: "detachLogicalVolume", params, deadline }, tools);
    if (report.status !== EventStatus.DONE) throw eventError(report);
  } catch (error) {
    if (!(error instanceof VasError) || isUp) throw error;
    tools.log.warn({ err: error }, "a head that is out of use was not told");
  }
}
