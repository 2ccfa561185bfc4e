import { setTimeout as pause } from "node:timers/promises";
import { errorRegistry, VasError } from "../../../shared/errors.js";
import { EventStatus } from "../../../shared/states.js";
import type { Milliseconds } from "../../../shared/units.js";
import { cancelHeldJob } from "../../operations/claim-jobs.js";
import { failShred, finishShred, readShred, type ShredPlan } from "../../operations/shred-extent.js";
import type { JobRow } from "../../store/jobs.js";
import { grantExtents } from "../grant-extents.js";
import type { Handler, HandlerTools } from "../handler.js";
import { eventError, runEvent } from "../wait-for-event.js";

/** Between two attempts to reach an agent that restarts. */
const RESTART_PAUSE: Milliseconds = 500;
/** How long one is waited for: until the server check must have taken its server out of use. */
const RESTART_PATIENCE: Milliseconds = 60_000;

/**
 * Shred: what may still be granted of the extent is taken back first (R4), then the agent overwrites it. The result is
 * asked by extent and generation, because an event id may be used again.
 *
 * An agent that restarts is waited for here, and not with the growing pauses of failed attempts: it goes on where it was.
 */
export const shred: Handler = async (job, tools) => {
  const contact = new Contact();
  for (;;) {
    const plan = await tools.executor.runQuietly(readShred, { dextid: job.subject });
    if (plan === undefined)
      return tools.executor.run(cancelHeldJob, { jobid: job.jobid, reason: "there is nothing to shred" });
    try {
      return await shredOnce(job, plan, contact, tools);
    } catch (error) {
      if (tools.signal.aborted || !contact.isWorthWaiting(error, tools.clock.monotonic())) throw error;
      await pause(RESTART_PAUSE, undefined, { signal: tools.signal });
    }
  }
};

/** Since when an agent can't be reached. */
class Contact {
  #lostAt: Milliseconds | undefined;

  had(): void {
    this.#lostAt = undefined;
  }

  isWorthWaiting(error: unknown, now: Milliseconds): boolean {
    if (!(error instanceof VasError) || error.errno !== "EHOSTDOWN") return false;
    this.#lostAt ??= now;
    return now - this.#lostAt < RESTART_PATIENCE;
  }
}

async function shredOnce(
  { jobid, eventid }: JobRow,
  plan: ShredPlan,
  contact: Contact,
  tools: HandlerTools,
): Promise<void> {
  await takeBack(plan, tools);
  const { agent, dextid, pdskid, offset, length: capacity, generation } = plan;
  const place = { dextid, pdskid, offset, capacity, generation };
  const report = await runEvent(
    {
      start: async () => {
        await tools.agents.callStorage(agent, "registerShredRequest", { eventid, ...place });
        contact.had();
      },
      ask: async (timeoutMs) => {
        await tools.agents.callStorage(agent, "waitEvent", { eventid, timeout_ms: timeoutMs }, timeoutMs);
        const status = await tools.agents.callStorage(agent, "getShredStatus", place);
        contact.had();
        return status;
      },
      deadline: undefined,
    },
    tools,
  );
  const end = { jobid, dextid };
  if (report.status === EventStatus.DONE) return tools.executor.run(finishShred, { ...end, generation });
  const error = eventError(report);
  // The agent has told the disk's own errors from all others, and it is the agent that answered: its server is up.
  const isOver =
    report.result === errorRegistry.EIO.code &&
    (await tools.executor.run(failShred, { ...end, sentence: error.sentence }));
  if (!isOver) throw error;
}

async function takeBack({ release, agent }: ShredPlan, tools: HandlerTools): Promise<void> {
  if (release === undefined) return;
  const { lvolid } = release;
  if ("revoke" in release) {
    await tools.agents.callStorage(agent, "revokeEpoch", { lvolid, epoch: release.revoke });
    return;
  }
  const { epoch, hsvrid, version, grant } = release;
  try {
    await grantExtents(agent, { lvolid, epoch, hsvrid, version, extents: grant.extents }, tools);
  } catch (error) {
    // A newer grant has overtaken this one: the next attempt reads what holds then.
    if (error instanceof VasError && error.errno === "ESTALE")
      throw new VasError("EAGAIN", error.sentence, { cause: error });
    throw error;
  }
}
