import { describeError, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import type { managerMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf, ResultOf } from "../../shared/methods/method.js";
import { MemberStatus } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import type { ManagerClient } from "../common/manager-client.js";
import { pause } from "../common/pause.js";

const CALL_TIMEOUT_MS: Milliseconds = 5000;
const FIRST_PAUSE_MS: Milliseconds = 50;
const LAST_PAUSE_MS: Milliseconds = 1000;

/** The longest reason that the manager takes. */
const MAX_REASON = 1024;

type ReportMethod = "reportMemberFailure" | "reportMemberInSync" | "reportSnapshotFailure" | "getMirror";
type Params<M extends ReportMethod> = Omit<ParamsOf<(typeof managerMethods)[M]>, "lvolid" | "epoch">;
type Result<M extends ReportMethod> = ResultOf<(typeof managerMethods)[M]>;

/** What became of the report of a failed member. */
export type FailureOutcome =
  /** It is not INSYNC any more; the writes that it missed may be acknowledged. */
  | { readonly kept: false; readonly version: number }
  /** It is the last INSYNC member and stays. */
  | { readonly kept: true };

export interface ManagerPortOptions {
  readonly client: ManagerClient;
  readonly lvolid: number;
  readonly epoch: number;
  /** The epoch is closed. */
  readonly onFenced: (why: string) => void;
  readonly log: Log;
  /** Aborted when the process ends. */
  readonly ending: AbortSignal;
}

/**
 * The manager, as the mirrors call it. A call is repeated for as long as the manager can't be reached. When the epoch is
 * closed, the process is told to stop, and the promise stays open: whoever waits for it must not go on.
 */
export class ManagerPort {
  readonly #options: ManagerPortOptions;
  #calls = 0;

  constructor(options: ManagerPortOptions) {
    this.#options = options;
  }

  /** A call is under way, or will be repeated. */
  get isAsking(): boolean {
    return this.#calls > 0;
  }

  /** A member missed a write. @param version the membership version that the mirror knows */
  async reportFailure(mirrorid: number, dextid: number, version: number): Promise<FailureOutcome> {
    let known = version;
    for (;;) {
      const answer = await this.#call("reportMemberFailure", { mirrorid, dextid, version: known });
      if (!(answer instanceof VasError)) return { kept: false, version: answer.version };
      if (answer.errno === "EBUSY") return { kept: true };
      if (answer.errno === "ENOENT") return { kept: false, version: await this.#versionOf(mirrorid, known) };
      known = await this.#versionOf(mirrorid, known);
    }
  }

  /**
   * A member holds the content of its mirror: one report of it.
   *
   * @returns the version since which it is INSYNC, or `again` with the version that holds now
   * @throws VasError ENOENT if it left the mirror
   */
  async reportInSync(
    mirrorid: number,
    dextid: number,
    version: number,
  ): Promise<{ readonly version: number; readonly again: boolean }> {
    const answer = await this.#call("reportMemberInSync", { mirrorid, dextid, version });
    if (!(answer instanceof VasError)) return { version: answer.version, again: false };
    if (answer.errno !== "EAGAIN") throw answer;
    const state = await this.getMirror(mirrorid);
    const member = state?.members.find((candidate) => candidate.dextid === dextid);
    // An earlier delivery of this report, whose answer was lost, was accepted.
    const isAccepted = member?.mirror_status === MemberStatus.INSYNC;
    return { version: state?.version ?? version, again: !isAccepted };
  }

  /** A snapshot can't be kept. When this resolves the manager has recorded it, or does not know the snapshot any more. */
  async reportSnapshotFailure(snapshotLvolid: number, reason: string): Promise<void> {
    const params = { snapshot_lvolid: snapshotLvolid, reason: reason.slice(0, MAX_REASON) };
    for (;;) {
      const answer = await this.#call("reportSnapshotFailure", params);
      if (!(answer instanceof VasError) || answer.errno === "ENOENT") return;
      await pause(LAST_PAUSE_MS, this.#options.ending);
    }
  }

  /** @returns undefined if the mirror is not there any more */
  async getMirror(mirrorid: number) {
    const answer = await this.#call("getMirror", { mirrorid });
    return answer instanceof VasError ? undefined : answer;
  }

  async #versionOf(mirrorid: number, known: number): Promise<number> {
    return (await this.getMirror(mirrorid))?.version ?? known;
  }

  async #call<M extends ReportMethod>(method: M, params: Params<M>): Promise<Result<M> | VasError> {
    this.#calls += 1;
    try {
      return await this.#repeat(method, params);
    } finally {
      this.#calls -= 1;
    }
  }

  /** @returns the result, or the refusal that the caller must look at: EBUSY, EAGAIN, ENOENT */
  async #repeat<M extends ReportMethod>(method: M, params: Params<M>): Promise<Result<M> | VasError> {
    const { client, lvolid, epoch, log, ending, onFenced } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS)) {
      try {
        const all = { lvolid, epoch, ...params } as ParamsOf<(typeof managerMethods)[M]>;
        return await client.call(method, all, { timeoutMs: CALL_TIMEOUT_MS, signal: ending });
      } catch (error) {
        if (ending.aborted) return forever();
        if (error instanceof VasError && error.errno === "ESTALE") {
          onFenced(`the manager has closed epoch ${epoch}: ${error.sentence}`);
          return forever();
        }
        if (error instanceof VasError && ["EBUSY", "EAGAIN", "ENOENT"].includes(error.errno)) return error;
        if (pauseMs === FIRST_PAUSE_MS)
          log.warn({ err: error }, `${method} failed, trying on: ${describeError(error)}`);
      }
      await pause(pauseMs, ending);
    }
  }
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}
