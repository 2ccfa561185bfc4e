import { VasError } from "../../../shared/errors.js";
import { EventStatus } from "../../../shared/states.js";
import { cancelHeldJob } from "../../operations/claim-jobs.js";
import { finishShred, readShred, type ShredPlan } from "../../operations/shred-extent.js";
import type { Handler, HandlerTools } from "../handler.js";
import { eventError, runEvent } from "../wait-for-event.js";

/**
 * Shred: what may still be granted of the extent is taken back first (R4), then the agent overwrites it. The result is
 * asked by extent and generation, because an event id may be used again.
 */
export const shred: Handler = async (job, tools) => {
  const plan = await tools.executor.runQuietly(readShred, { dextid: job.subject });
  if (plan === undefined)
    return tools.executor.run(cancelHeldJob, { jobid: job.jobid, reason: "there is nothing to shred" });
  await takeBack(plan, tools);
  const { agent, dextid, pdskid, offset, length: capacity, generation } = plan;
  const place = { dextid, pdskid, offset, capacity, generation };
  const { eventid } = job;
  const report = await runEvent(
    {
      start: async () =>
        void (await tools.agents.callStorage(agent, "registerShredRequest", { eventid, ...place })),
      ask: async (timeoutMs) => {
        await tools.agents.callStorage(agent, "waitEvent", { eventid, timeout_ms: timeoutMs }, timeoutMs);
        return tools.agents.callStorage(agent, "getShredStatus", place);
      },
      deadline: undefined,
    },
    tools,
  );
  if (report.status !== EventStatus.DONE) throw eventError(report);
  await tools.executor.run(finishShred, { jobid: job.jobid, eventid, dextid, generation });
};

async function takeBack({ release, agent }: ShredPlan, tools: HandlerTools): Promise<void> {
  if (release === undefined) return;
  const { lvolid } = release;
  if ("revoke" in release) {
    await tools.agents.callStorage(agent, "revokeEpoch", { lvolid, epoch: release.revoke });
    return;
  }
  const { epoch, hsvrid, version, grant } = release;
  try {
    await tools.agents.callStorage(agent, "grantExtents", {
      lvolid,
      epoch,
      hsvrid,
      version,
      extents: grant.extents,
    });
  } catch (error) {
    // A newer grant has overtaken this one: the next attempt reads what holds then.
    if (error instanceof VasError && error.errno === "ESTALE")
      throw new VasError("EAGAIN", error.sentence, { cause: error });
    throw error;
  }
}
