import type { Milliseconds } from "../../shared/units.js";
import type { CommitNote, Executor, Operation } from "../operations/operation.js";

/** How a job ended, as far as the caller that waits for it is concerned. */
export interface JobOutcome {
  readonly status: number;
  readonly result: string;
  readonly last_error: string;
}

/** What a call needs besides its parameters. */
export interface CallServices {
  readonly executor: Executor;
  /** Waits until a job has ended, or the deadline; undefined if the job is not there any more. */
  readonly waitForJob: (jobid: number, deadline: Milliseconds) => Promise<JobOutcome | undefined>;
  /** The call has begun a job, and goes on to wait for it: what it changed is committed. */
  readonly onAccepted: (call: Call) => void;
}

/** One call on its way: what it runs, and what its line of the log says about it. */
export class Call {
  /** The commit that it made, or the last one that it saw. */
  commit: CommitNote | undefined;
  /** The job that it waited for. */
  jobid: number | undefined;

  constructor(private readonly services: CallServices) {}

  /** Runs what may change the state. @throws VasError, after which nothing has changed. */
  change<Params, Result>(operation: Operation<Params, Result>, params: Params): Promise<Result> {
    return this.services.executor.run(operation, params, this.#note);
  }

  /** Runs what has no work follow from it, such as what only reads. @throws VasError */
  read<Params, Result>(operation: Operation<Params, Result>, params: Params): Promise<Result> {
    return this.services.executor.runQuietly(operation, params, this.#note);
  }

  async waitFor(jobid: number, deadline: Milliseconds): Promise<JobOutcome | undefined> {
    this.jobid = jobid;
    this.services.onAccepted(this);
    return this.services.waitForJob(jobid, deadline);
  }

  readonly #note = (commit: CommitNote): void => {
    this.commit = commit;
  };
}
