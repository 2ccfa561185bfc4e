import { VasError } from "../../../shared/errors.js";
import { EventStatus } from "../../../shared/states.js";
import { closeDetached, finishDetach, refuseDetach } from "../../operations/end-detach.js";
import { JobGone } from "../../operations/held-job.js";
import { type Attachment, readAttachment } from "../../operations/read-attachment.js";
import type { JobRow } from "../../store/jobs.js";
import type { Handler, HandlerTools } from "../handler.js";
import { revokeEpoch } from "../revoke-epoch.js";
import { eventError, runAtHead } from "../wait-for-event.js";

/**
 * Detach: the head flushes and ends its process, then the epoch is revoked at the storage servers. With the head's
 * confirmation nothing of the epoch can write any more (R11), so a storage server that can't be asked now does not hold
 * it up: the grant of the next epoch closes this one there, and it is asked again when it is back.
 */
export const detach: Handler = async (job, tools) => {
  const ref = { jobid: job.jobid, lvolid: job.subject };
  const attachment = await tools.executor.runQuietly(readAttachment, { lvolid: job.subject });
  if (attachment === undefined) throw new JobGone("the volume is gone");
  try {
    if (job.phase !== "revoke") await leaveHead(job, attachment, tools);
  } catch (error) {
    if (!(error instanceof VasError) || tools.signal.aborted) throw error;
    await tools.executor.run(refuseDetach, { ...ref, error });
    return;
  }
  await tools.executor.run(closeDetached, ref);
  const unreached = await revokeEpoch(attachment, tools).catch((error: unknown) => {
    tools.log.warn({ err: error }, "a storage server refused to revoke an epoch that has ended");
    return attachment.grants.map(({ ssvrid }) => ssvrid);
  });
  await tools.executor.run(finishDetach, { ...ref, unreached });
};

async function leaveHead(
  job: JobRow,
  { volume, tree, head }: Attachment,
  tools: HandlerTools,
): Promise<void> {
  if (head === undefined) return;
  const params = { eventid: job.eventid, epoch: volume.epoch, lvolstruct: tree };
  const deadline = tools.clock.monotonic() + tools.settings.detach_timeout * 1_000;
  const report = await runAtHead({ head, method: "detachLogicalVolume", params, deadline }, tools);
  if (report.status !== EventStatus.DONE) throw eventError(report);
}
