import type { Clock } from "../../shared/clock.js";
import type { Config } from "../../shared/config.js";
import type { Log } from "../../shared/log.js";
import type { AgentsPort } from "../agents-port/agents-port.js";
import type { Executor } from "../operations/operation.js";
import type { JobRow } from "../store/jobs.js";

/** What a job handler works with. */
export interface HandlerTools {
  readonly executor: Executor;
  readonly agents: AgentsPort;
  readonly settings: Config["storage_manager"];
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted when the manager stops, or the job is cancelled: it stays as it is, for the next one. */
  readonly signal: AbortSignal;
  /** Tells how far the job is, in percent, for `vas status`. */
  progress(percent: number): void;
}

/**
 * Sees one job through: talks to agents with no transaction open, and ends with a finishing operation. May be
 * interrupted anywhere and started again from the beginning, so each of its steps can be repeated.
 *
 * @throws VasError: the job is tried again after a pause. JobGone: there is nothing left to do.
 */
export type Handler = (job: JobRow, tools: HandlerTools) => Promise<void>;
