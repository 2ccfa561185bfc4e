import { VasError } from "../../../shared/errors.js";
import { EventStatus } from "../../../shared/states.js";
import {
  beginEndingSnapshot,
  finishSnapshotDeletion,
  readSnapshot,
  refuseSnapshotDeletion,
  type SnapshotPlan,
} from "../../operations/end-snapshot.js";
import { JobGone } from "../../operations/held-job.js";
import type { JobRow } from "../../store/jobs.js";
import type { Handler, HandlerTools } from "../handler.js";
import { eventError, runAtHead } from "../wait-for-event.js";

/**
 * Delete-snapshot: the head ends it, then its space is freed. A head that can't be asked is asked again: it may use the
 * space until it answers, or is fenced. Only its own word that it goes on with the snapshot brings that back.
 */
export const deleteSnapshot: Handler = async (job, tools) => {
  const { epoch } = JSON.parse(job.payload) as { readonly epoch: number };
  const plan = await tools.executor.runQuietly(readSnapshot, { lvolid: job.subject, epoch });
  if (plan === undefined) throw new JobGone("the snapshot is gone");
  const ref = { jobid: job.jobid, lvolid: job.subject };
  await tools.executor.run(beginEndingSnapshot, ref);
  try {
    await endAtHead(job, plan, tools);
  } catch (error) {
    if (!(error instanceof VasError) || error.errno !== "EBUSY" || tools.signal.aborted) throw error;
    await tools.executor.run(refuseSnapshotDeletion, { ...ref, error });
    return;
  }
  await tools.executor.run(finishSnapshotDeletion, ref);
};

/**
 * Returns when the head does not use the snapshot; at once if no head has the epoch under which it could.
 *
 * @throws VasError EBUSY while a client of the head uses it, or whatever kept the head from answering
 */
export async function endAtHead(job: JobRow, plan: SnapshotPlan, tools: HandlerTools): Promise<void> {
  const { origin, snapshot, head } = plan;
  if (head === undefined) return;
  const { eventid, jobid } = job;
  const { lvolid, epoch } = origin;
  const params = { eventid, jobid, lvolid, epoch, snapshot_lvolid: snapshot.lvolid };
  const deadline = tools.clock.monotonic() + tools.settings.detach_timeout * 1_000;
  const report = await runAtHead({ head, method: "deleteSnapshot", params, deadline }, tools);
  if (report.status !== EventStatus.DONE) throw eventError(report);
}
