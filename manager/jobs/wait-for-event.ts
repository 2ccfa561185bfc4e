import { setTimeout as pause } from "node:timers/promises";
import type { AgentAddress } from "../../shared/agent-address.js";
import { errorNameOf, VasError } from "../../shared/errors.js";
import type {
  EventProgress,
  HeadAgentMethodName,
  headAgentMethods,
} from "../../shared/methods/agent-methods.js";
import type { ParamsOf, Sent } from "../../shared/methods/method.js";
import { EventStatus } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import type { HandlerTools } from "./handler.js";

/** The longest that one waiting call stays with the agent: how old the progress in `vas status` may be. */
const ONE_WAIT: Milliseconds = 2_000;

export interface EventWait {
  /** Asks the agent; it answers when the event has ended, or after so many milliseconds. */
  readonly ask: (timeoutMs: Milliseconds) => Promise<EventProgress>;
  /** Starts the work, once more if the agent forgot it because it restarted. */
  readonly start: () => Promise<void>;
  /** Monotonic time at which to give up; undefined = as long as `goOn` says. */
  readonly deadline: Milliseconds | undefined;
  /** Asked between two calls: throws if there is nothing to wait for any more. */
  readonly goOn?: () => Promise<void>;
}

/** Before an agent that did not answer is asked again. */
const ASK_PAUSE: Milliseconds = 500;

/**
 * Starts work at an agent and waits for its end. An agent that does not answer is asked again for `agent_timeout`: it may
 * just be starting, or have done the work, and only its answer was lost. Both calls may be repeated.
 *
 * @returns the final report: DONE or ERROR.
 * @throws VasError ETIMEDOUT at the deadline, EHOSTDOWN if the agent does not answer.
 */
export async function runEvent(wait: EventWait, tools: HandlerTools): Promise<EventProgress> {
  let isStarted = false;
  let awaySince: Milliseconds | undefined;
  for (;;) {
    if (tools.signal.aborted) throw new VasError("EAGAIN", "the manager is stopping");
    const now = tools.clock.monotonic();
    const left = wait.deadline === undefined ? ONE_WAIT : wait.deadline - now;
    if (left <= 0) throw new VasError("ETIMEDOUT", "the agent did not finish in time");
    try {
      if (!isStarted) await wait.start();
      isStarted = true;
      const report = await wait.ask(Math.ceil(Math.min(left, ONE_WAIT)));
      if (report.status === EventStatus.DONE || report.status === EventStatus.ERROR) return report;
      isStarted = report.status !== EventStatus.NONE;
      if (report.progress >= 0) tools.progress(report.progress);
      awaySince = undefined;
    } catch (error) {
      if (!(error instanceof VasError) || error.errno !== "EHOSTDOWN" || tools.signal.aborted) throw error;
      awaySince ??= now;
      const patience = tools.settings.agent_timeout * 1_000;
      if (tools.clock.monotonic() - awaySince >= patience) throw error;
      await pause(ASK_PAUSE, undefined, { signal: tools.signal }).catch(() => undefined);
    }
    await wait.goOn?.();
  }
}

/** Work that a head server is to do. */
export interface HeadWork<M extends HeadAgentMethodName> {
  readonly head: AgentAddress;
  readonly method: M;
  readonly params: Sent<ParamsOf<(typeof headAgentMethods)[M]>> & { readonly eventid: number };
  readonly deadline: EventWait["deadline"];
  readonly goOn?: NonNullable<EventWait["goOn"]>;
}

/** Has a head server do work, and waits for its end, see `runEvent`. */
export function runAtHead<M extends HeadAgentMethodName>(
  { head, method, params, ...wait }: HeadWork<M>,
  tools: HandlerTools,
): Promise<EventProgress> {
  const { eventid } = params;
  return runEvent(
    {
      start: async () => void (await tools.agents.callHead(head, method, params)),
      ask: (timeoutMs) =>
        tools.agents.callHead(head, "waitEvent", { eventid, timeout_ms: timeoutMs }, timeoutMs),
      ...wait,
    },
    tools,
  );
}

/** The error that an agent reported as the result of an event. */
export function eventError(report: EventProgress): VasError {
  return new VasError(
    errorNameOf(report.result) ?? "EIO",
    report.sentence === "" ? "the agent gave no reason" : report.sentence,
  );
}
