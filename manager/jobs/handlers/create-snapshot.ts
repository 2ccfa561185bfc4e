import { VasError } from "../../../shared/errors.js";
import { EventStatus } from "../../../shared/states.js";
import { dropUnaskedMembers } from "../../operations/drop-unasked-members.js";
import {
  beginTakingSnapshot,
  finishSnapshot,
  finishSnapshotUndo,
  giveUpSnapshot,
  readSnapshot,
  type SnapshotPlan,
} from "../../operations/end-snapshot.js";
import { JobGone, resultName } from "../../operations/held-job.js";
import type { JobRow } from "../../store/jobs.js";
import { grantExtents } from "../grant-extents.js";
import type { Handler, HandlerTools } from "../handler.js";
import { askStorageServers } from "../revoke-epoch.js";
import { eventError, runAtHead } from "../wait-for-event.js";
import { endAtHead } from "./delete-snapshot.js";

/**
 * Create-snapshot: the copy-on-write space is granted to the volume's head, which then takes the snapshot. What fails is
 * undone, beginning at the head: only when that does not use the space any more is it taken away.
 */
export const createSnapshot: Handler = async (job, tools) => {
  if (job.phase === "undo") return undo(job, tools);
  const ref = { jobid: job.jobid, lvolid: job.subject };
  try {
    await grantSpace(job, tools);
    await tools.executor.run(beginTakingSnapshot, ref);
    await takeAtHead(job, tools);
    await tools.executor.run(finishSnapshot, ref);
  } catch (error) {
    if (!(error instanceof VasError) || tools.signal.aborted) throw error;
    tools.log.warn({ err: error }, "the snapshot is not taken and is undone");
    return undo(await tools.executor.run(giveUpSnapshot, { ...ref, error }), tools);
  }
};

interface Payload {
  readonly epoch: number;
  /** The head may have been told; only in the phase `undo`. */
  readonly served?: boolean;
  /** Why it was given up; only in the phase `undo`. */
  readonly reason?: string;
}

function payloadOf(job: JobRow): Payload {
  return JSON.parse(job.payload) as Payload;
}

async function read(job: JobRow, tools: HandlerTools): Promise<SnapshotPlan> {
  const { epoch } = payloadOf(job);
  const plan = await tools.executor.runQuietly(readSnapshot, { lvolid: job.subject, epoch });
  if (plan === undefined) throw new JobGone("the snapshot is gone");
  return plan;
}

/** Grants that were overtaken by newer ones are read again. */
const GRANT_ATTEMPTS = 5;

/** Copies whose server can't be asked are out of sync from the start; every mirror needs one that can. */
async function grantSpace(job: JobRow, tools: HandlerTools): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { origin, head, grants } = await read(job, tools);
    if (head === undefined) throw notServed();
    const { lvolid, epoch, hsvrid, grant_version: version } = origin;
    const { unasked, overtaken } = await askStorageServers(
      grants,
      ({ agent, extents }) => grantExtents(agent, { lvolid, epoch, hsvrid, version, extents }, tools),
      tools,
    );
    if (overtaken && attempt < GRANT_ATTEMPTS) continue;
    if (unasked.length === 0) return;
    // The head may know the members by now: none is dropped behind its back (R2).
    if (job.phase === "serve") throw new VasError("EHOSTDOWN", "a storage server can't be asked any more");
    const drop = { jobid: job.jobid, lvolid, ssvrids: unasked, snapshot: job.subject };
    await tools.executor.run(dropUnaskedMembers, drop);
    return;
  }
}

async function takeAtHead(job: JobRow, tools: HandlerTools): Promise<void> {
  const { origin, tree, head } = await read(job, tools);
  if (head === undefined) throw notServed();
  const { lvolid, epoch } = origin;
  const { eventid, jobid } = job;
  const params = { eventid, jobid, lvolid, epoch, lvolstruct: tree };
  const deadline = tools.clock.monotonic() + tools.settings.attach_timeout * 1_000;
  const report = await runAtHead({ head, method: "createSnapshot", params, deadline }, tools);
  if (report.status === EventStatus.DONE) return;
  const error = eventError(report);
  // To the caller ENOENT would say that there is no such volume.
  throw error.errno === "ENOENT" ? notServed() : error;
}

/** @throws VasError while the head can't be asked; it may use the space until it answers, or is fenced */
async function undo(job: JobRow, tools: HandlerTools): Promise<void> {
  const plan = await read(job, tools);
  const { served, reason } = payloadOf(job);
  if (served === true) await endAtHead(job, plan, tools);
  const error = new VasError(resultName(job.result) ?? "EIO", reason ?? job.last_error);
  await tools.executor.run(finishSnapshotUndo, { jobid: job.jobid, lvolid: job.subject, error });
}

function notServed(): VasError {
  return new VasError("EHOSTDOWN", "the volume is not served by that head server any more");
}
