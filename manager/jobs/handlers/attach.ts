import { setTimeout as pause } from "node:timers/promises";
import { VasError } from "../../../shared/errors.js";
import { allMirrorsOf } from "../../../shared/layout-tree.js";
import { EventStatus, MemberStatus } from "../../../shared/states.js";
import type { Milliseconds } from "../../../shared/units.js";
import { dropUnaskedMembers } from "../../operations/drop-unasked-members.js";
import {
  beginServing,
  failAttach,
  finishAttach,
  finishUndo,
  giveUpAttach,
} from "../../operations/end-attach.js";
import { failMaintenance } from "../../operations/end-maintenance.js";
import { JobGone, resultName } from "../../operations/held-job.js";
import { type Attachment, readAttachment } from "../../operations/read-attachment.js";
import { readChap } from "../../operations/read-chap.js";
import type { JobRow } from "../../store/jobs.js";
import type { Handler, HandlerTools } from "../handler.js";
import { grantEpoch, revokeEpoch } from "../revoke-epoch.js";
import { eventError, runAtHead } from "../wait-for-event.js";

const GRANT_PAUSE: Milliseconds = 500;

/**
 * Attach: grants at the storage servers, then the volume process at the head. What fails before the head answers is
 * undone; an error that the head reports, at once or later, leaves the volume in ERROR, as the API says. An attach for
 * maintenance that fails ends the maintenance, in any case.
 */
export const attach: Handler = async (job, tools) => {
  if (job.phase === "undo") return undo(job, tools);
  const ref = { jobid: job.jobid, lvolid: job.subject };
  const deadline = tools.clock.monotonic() + tools.settings.attach_timeout * 1_000;
  let refusal: VasError | undefined;
  try {
    await grant(job, deadline, tools);
    await tools.executor.run(beginServing, ref);
    refusal = await serve(job, deadline, tools);
  } catch (error) {
    if (!(error instanceof VasError) || tools.signal.aborted) throw error;
    tools.log.warn({ err: error }, "attach failed and is undone");
    if (isMaintenance(job)) return tools.executor.run(failMaintenance, { ...ref, error });
    return undo(await tools.executor.run(giveUpAttach, { ...ref, error }), tools);
  }
  if (refusal === undefined) await tools.executor.run(finishAttach, ref);
  else
    await tools.executor.run(isMaintenance(job) ? failMaintenance : failAttach, { ...ref, error: refusal });
};

interface AttachPayload {
  readonly epoch: number;
  /** No user asked for it. */
  readonly maintenance?: boolean;
  /** The head may have been told; only in the phase `undo`. */
  readonly served?: boolean;
  /** Why it was given up; only in the phase `undo`. */
  readonly reason?: string;
}

function payloadOf(job: JobRow): AttachPayload {
  return JSON.parse(job.payload) as AttachPayload;
}

function isMaintenance(job: JobRow): boolean {
  return payloadOf(job).maintenance === true;
}

async function read(job: JobRow, tools: HandlerTools): Promise<Attachment> {
  const attachment = await tools.executor.runQuietly(readAttachment, { lvolid: job.subject });
  const { epoch } = payloadOf(job);
  if (attachment === undefined || attachment.volume.epoch !== epoch)
    throw new JobGone("the volume is gone, or has a newer epoch");
  return attachment;
}

/**
 * Members whose server can't be asked leave INSYNC first; the last good copy makes the attach fail (D3). A server that
 * is in use as far as the manager knows is asked again for a while before that: it may just be starting, and a copy
 * that is dropped has to be caught up. Once the head may have been told of the members, none is dropped behind its back
 * (R2): the attach is given up instead.
 */
async function grant(job: JobRow, deadline: Milliseconds, tools: HandlerTools): Promise<void> {
  const { clock, settings, executor, signal } = tools;
  const patience = Math.min(deadline, clock.monotonic() + settings.agent_timeout * 1_000);
  for (;;) {
    const attachment = await read(job, tools);
    const unasked = await grantEpoch(attachment, tools);
    const good = serversWithGoodCopies(attachment);
    const ssvrids = unasked.filter((ssvrid) => good.has(ssvrid));
    if (ssvrids.length === 0) return;
    const hopeful = attachment.grants.some(({ ssvrid, isUp }) => isUp && ssvrids.includes(ssvrid));
    if (!hopeful || clock.monotonic() >= patience) {
      // For maintenance no copy is dropped that may be there in a moment.
      if (job.phase === "serve" || (hopeful && isMaintenance(job)))
        throw new VasError("EHOSTDOWN", "a storage server can't be asked any more");
      await executor.run(dropUnaskedMembers, { jobid: job.jobid, lvolid: job.subject, ssvrids });
      return;
    }
    await pause(GRANT_PAUSE, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw new VasError("EAGAIN", "the manager is stopping");
  }
}

function serversWithGoodCopies({ tree }: Attachment): Set<number> {
  const members = allMirrorsOf(tree).flatMap((mirror) => mirror.components);
  const good = members.filter((member) => member.mirror_status === MemberStatus.INSYNC);
  return new Set(good.map((member) => member.lvolspec.ssvrid));
}

/**
 * @returns the error that the head answered with; undefined if it serves the volume.
 * @throws VasError EHOSTDOWN, ETIMEDOUT if it did not answer, or not in time: whether it serves the volume is not known
 */
async function serve(
  job: JobRow,
  deadline: Milliseconds,
  tools: HandlerTools,
): Promise<VasError | undefined> {
  const { volume, tree, head } = await read(job, tools);
  if (head === undefined) throw new JobGone("the volume is not being attached any more");
  const maintenance = isMaintenance(job) || undefined;
  const chap = await tools.executor.runQuietly(readChap, { hsvrid: volume.hsvrid ?? 0 });
  const params = { eventid: job.eventid, epoch: volume.epoch, lvolstruct: tree, maintenance, chap };
  try {
    const report = await runAtHead({ head, method: "attachLogicalVolume", params, deadline }, tools);
    return report.status === EventStatus.DONE ? undefined : eventError(report);
  } catch (error) {
    // A fault is an answer too: the head's, in words that it would not take back if it were asked to undo.
    if (!(error instanceof VasError) || tools.signal.aborted || isSilence(error)) throw error;
    return error;
  }
}

function isSilence({ errno }: VasError): boolean {
  return errno === "EHOSTDOWN" || errno === "ETIMEDOUT";
}

/**
 * The volume is free again once its head confirms that no process of the epoch lives, or the epoch is revoked at every
 * server that holds a good copy (R11).
 */
async function undo(job: JobRow, tools: HandlerTools): Promise<void> {
  const attachment = await read(job, tools);
  const ref = { jobid: job.jobid, lvolid: job.subject };
  const { served, reason } = payloadOf(job);
  // A head that was never told of the epoch can't use it; what was granted ends with the next epoch's grant.
  const confirmed = served !== true || (await confirmDetached(attachment, job.eventid, tools));
  const ssvrids = await revokeEpoch(attachment, tools);
  if (ssvrids.length > 0 && !confirmed)
    await tools.executor.run(dropUnaskedMembers, { ...ref, ssvrids, isFence: true });
  const error = new VasError(resultName(job.result) ?? "EIO", reason ?? job.last_error);
  await tools.executor.run(finishUndo, { ...ref, error, unreached: ssvrids });
}

async function confirmDetached(
  { volume, tree, head }: Attachment,
  eventid: number,
  tools: HandlerTools,
): Promise<boolean> {
  if (head === undefined) return false;
  const params = { eventid, epoch: volume.epoch, lvolstruct: tree };
  try {
    const deadline = tools.clock.monotonic() + tools.settings.agent_timeout * 1_000;
    const report = await runAtHead({ head, method: "detachLogicalVolume", params, deadline }, tools);
    return report.status === EventStatus.DONE;
  } catch (error) {
    if (error instanceof VasError) return false;
    throw error;
  }
}
