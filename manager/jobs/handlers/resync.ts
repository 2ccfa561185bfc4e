import { type ErrorName, VasError } from "../../../shared/errors.js";
import type { EventProgress } from "../../../shared/methods/agent-methods.js";
import { EventStatus, JobStatus } from "../../../shared/states.js";
import { cancelHeldJob, readJob } from "../../operations/claim-jobs.js";
import { JobGone } from "../../operations/held-job.js";
import type { ServerGrant } from "../../operations/read-attachment.js";
import { finishResync, type ResyncPlan, readResync, retryResync } from "../../operations/resync-member.js";
import type { JobRow } from "../../store/jobs.js";
import { grantExtents } from "../grant-extents.js";
import type { Handler, HandlerTools } from "../handler.js";
import { eventError, runAtHead } from "../wait-for-event.js";

/**
 * Resync: the new member is granted, then its head copies the content and reports it in sync by itself. With a member that is
 * in sync already, the head only stops using a lost one. Whatever else is to leave gets a job of its own.
 */
export const resync: Handler = async (job, tools) => {
  const plan = await tools.executor.runQuietly(readResync, { dextid: job.subject });
  const ref = { jobid: job.jobid, dextid: job.subject };
  if (plan === "insync") return tools.executor.run(finishResync, ref);
  if (plan === undefined)
    return tools.executor.run(cancelHeldJob, { jobid: job.jobid, reason: "there is nothing to resync" });

  const refusal = plan.grant && (await grantMember(plan.volume, plan.grant, tools));
  if (refusal !== undefined) return putBack(job, plan, refusal, tools);
  const report = await copy(job, plan, tools);
  const after = await tools.executor.runQuietly(readResync, { dextid: job.subject });
  if (after === "insync" || (after !== undefined && isDone(plan, after)))
    return tools.executor.run(finishResync, ref);
  if (after === undefined || after.volume.epoch !== plan.volume.epoch) {
    const reason = "the volume was detached, or the member given up";
    return tools.executor.run(cancelHeldJob, { jobid: job.jobid, reason });
  }
  const error = report.status === EventStatus.DONE ? notAccepted() : eventError(report);
  await putBack(job, after, error, tools);
};

/** The member is in sync by now, or its head has stopped using the copy that it was to; if one more is to leave, so be it. */
function isDone(plan: ResyncPlan, after: ResyncPlan): boolean {
  const isInSync = after.grant === undefined;
  return isInSync && (plan.grant !== undefined || after.remove?.lvolid !== plan.remove?.lvolid);
}

/** @returns what the member's server has against it. @throws VasError if it can't be asked, or a newer grant came first */
async function grantMember(
  volume: ResyncPlan["volume"],
  grant: ServerGrant,
  tools: HandlerTools,
): Promise<VasError | undefined> {
  const { lvolid, epoch, grant_version: version, hsvrid } = volume;
  const params = { lvolid, epoch, hsvrid, version, extents: grant.extents };
  try {
    await grantExtents(grant.agent, params, tools);
    return undefined;
  } catch (error) {
    if (!(error instanceof VasError) || error.errno === "EHOSTDOWN" || error.errno === "ESTALE") throw error;
    return error;
  }
}

async function copy(job: JobRow, plan: ResyncPlan, tools: HandlerTools): Promise<EventProgress> {
  const { volume, mirrorid, version, add, remove, head } = plan;
  const params = {
    eventid: job.eventid,
    lvolid: volume.lvolid,
    epoch: volume.epoch,
    mirrorid,
    version,
    add,
    remove: remove ?? ({ lvolid: 0 } as const),
  };
  const goOn = async (): Promise<void> => {
    const row = await tools.executor.runQuietly(readJob, { jobid: job.jobid });
    if (row?.status !== JobStatus.RUNNING) throw new JobGone("the resync was cancelled");
  };
  return runAtHead({ head, method: "replaceMirrorDisk", params, deadline: undefined, goOn }, tools);
}

function notAccepted(): VasError {
  return new VasError("EAGAIN", "the head has done it, but its report was not accepted");
}

/** What a member's own disk and server answer; all else – a head that restarts, a source that is away – is not its fault. */
const MEMBER_FAULTS: readonly ErrorName[] = ["EIO", "EHOSTDOWN", "ENOENT", "ENOSPC", "EINVAL"];

/** An attempt counts against the member only if it failed by it, and while its server answers. */
async function putBack(
  job: JobRow,
  { grant }: ResyncPlan,
  error: VasError,
  tools: HandlerTools,
): Promise<void> {
  const counts =
    grant !== undefined &&
    MEMBER_FAULTS.includes(error.errno) &&
    (await tools.agents.callStorage(grant.agent, "helloWorld", {}).then(
      () => true,
      () => false,
    ));
  const pause = Math.min(tools.settings.max_retry_pause * 1_000, 500 * 2 ** Math.min(job.attempts, 20));
  tools.log.warn({ err: error, counts }, "resync failed");
  await tools.executor.run(retryResync, {
    jobid: job.jobid,
    dextid: job.subject,
    error,
    attempts: job.attempts + 1,
    runAt: tools.clock.now() + pause,
    counts,
  });
}
