import type { Clock } from "../../shared/clock.js";
import { describeError, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import { JobStatus } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import { claimJobs, readJob, retryJob, takeOverJobs } from "../operations/claim-jobs.js";
import { JobGone } from "../operations/held-job.js";
import type { Executor } from "../operations/operation.js";
import type { JobKind, JobRow } from "../store/jobs.js";
import type { Handler, HandlerTools } from "./handler.js";

const FIRST_PAUSE: Milliseconds = 200;

interface Waiter {
  readonly jobid: number;
  readonly resolve: (job: JobRow | undefined) => void;
  readonly timer: NodeJS.Timeout;
}

export interface RunnerOptions {
  readonly handlers: Readonly<Record<JobKind, Handler>>;
  readonly tools: Omit<HandlerTools, "progress" | "signal" | "executor">;
  readonly executor: Executor;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxPause: Milliseconds;
}

/**
 * Runs jobs: claims those that may start, hands each to its handler, and lets a failed attempt wait with growing
 * pauses. The rows are the truth; a poke only says that it is worth looking now.
 */
export class JobRunner {
  readonly #running = new Map<number, Promise<void>>();
  readonly #interrupts = new Map<number, AbortController>();
  readonly #progress = new Map<number, number>();
  readonly #waiters = new Set<Waiter>();
  readonly #stop = new AbortController();
  #pumping: Promise<void> | undefined;
  #pokedAgain = false;
  #alarm: NodeJS.Timeout | undefined;

  constructor(private readonly options: RunnerOptions) {}

  /** Takes up what an earlier manager left, and begins. */
  async start(): Promise<void> {
    const left = await this.options.executor.runQuietly(takeOverJobs, {});
    if (left > 0) this.options.log.info({ jobs: left }, "jobs of an earlier manager are taken up again");
    this.poke();
  }

  /** There may be something new to do. */
  poke(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#pumping !== undefined) {
      this.#pokedAgain = true;
      return;
    }
    this.#pumping = this.#pump()
      .catch((error) => {
        this.options.log.error({ err: error }, "looking for jobs failed");
        this.#wakeIn(1_000);
      })
      .finally(() => {
        this.#pumping = undefined;
        if (this.#pokedAgain) {
          this.#pokedAgain = false;
          this.poke();
        }
      });
  }

  /** Percent of a job that runs; -1 if its agent has not told. */
  progressOf(jobid: number): number {
    return this.#progress.get(jobid) ?? -1;
  }

  /** A job was taken from its handler, which need not find that out by itself. */
  interrupt(jobid: number): void {
    this.#interrupts.get(jobid)?.abort();
  }

  /**
   * Waits until a job has ended, or is known to fail while what it did can't be undone at once.
   *
   * @returns the job as it is then; still open if the deadline has passed.
   */
  async waitFor(jobid: number, deadline: Milliseconds): Promise<JobRow | undefined> {
    return new Promise((resolve) => {
      const waiter: Waiter = {
        jobid,
        resolve,
        timer: setTimeout(() => void this.#settle(waiter), deadline),
      };
      this.#waiters.add(waiter);
      this.poke();
    });
  }

  /** Claims nothing more, and waits for the handlers that run. What they leave open is taken up by the next manager. */
  async stop(deadline: Milliseconds): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#alarm);
    for (const waiter of this.#waiters) await this.#settle(waiter);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadline);
    });
    await Promise.race([Promise.all([this.#pumping, ...this.#running.values()]), late]);
    clearTimeout(timer);
  }

  async #pump(): Promise<void> {
    const { executor, clock, maxPause } = this.options;
    await this.#tellWaiters();
    const { jobs, nextAt } = await executor.runQuietly(claimJobs, { running: new Set(this.#running.keys()) });
    for (const job of jobs) this.#begin(job);
    if (nextAt !== undefined) this.#wakeIn(Math.min(maxPause, Math.max(0, nextAt - clock.now())));
  }

  #wakeIn(pause: Milliseconds): void {
    clearTimeout(this.#alarm);
    this.#alarm = setTimeout(() => this.poke(), pause);
  }

  #begin(job: JobRow): void {
    const interrupt = new AbortController();
    this.#interrupts.set(job.jobid, interrupt);
    const work = this.#run(job, AbortSignal.any([this.#stop.signal, interrupt.signal]))
      .catch((error) => this.options.log.error({ err: error, job: job.jobid }, "a job could not be put back"))
      .finally(() => {
        this.#running.delete(job.jobid);
        this.#interrupts.delete(job.jobid);
        this.#progress.delete(job.jobid);
        this.poke();
      });
    this.#running.set(job.jobid, work);
  }

  async #run(job: JobRow, signal: AbortSignal): Promise<void> {
    const { handlers, executor, log } = this.options;
    const handler = handlers[job.kind as JobKind];
    const tools: HandlerTools = {
      ...this.options.tools,
      executor,
      log: log.child({ job: job.jobid, kind: job.kind, subject: job.subject }),
      signal,
      progress: (percent) => this.#progress.set(job.jobid, percent),
    };
    try {
      await handler(job, tools);
    } catch (error) {
      if (error instanceof JobGone || signal.aborted) return;
      if (error instanceof VasError) tools.log.warn({ err: error }, "attempt failed");
      else tools.log.error({ err: error }, "attempt failed by a defect");
      await this.#putBack(job, error instanceof VasError ? error.sentence : describeError(error));
    }
  }

  async #putBack(job: JobRow, error: string): Promise<void> {
    const { executor, clock, maxPause } = this.options;
    const pause = Math.min(maxPause, FIRST_PAUSE * 2 ** Math.min(job.attempts, 20));
    const params = { jobid: job.jobid, attempts: job.attempts + 1, error, runAt: clock.now() + pause };
    await executor.runQuietly(retryJob, params).catch((failure: unknown) => {
      if (!(failure instanceof JobGone)) throw failure;
    });
  }

  async #tellWaiters(): Promise<void> {
    for (const waiter of this.#waiters) {
      const job = await this.options.executor.runQuietly(readJob, { jobid: waiter.jobid });
      if (job === undefined || isDecided(job)) this.#release(waiter, job);
    }
  }

  async #settle(waiter: Waiter): Promise<void> {
    const { executor, log } = this.options;
    const job = await executor.runQuietly(readJob, { jobid: waiter.jobid }).catch((error: unknown) => {
      log.error({ err: error }, "a job could not be read");
      return undefined;
    });
    this.#release(waiter, job);
  }

  #release(waiter: Waiter, job: JobRow | undefined): void {
    clearTimeout(waiter.timer);
    this.#waiters.delete(waiter);
    waiter.resolve(job);
  }
}

/** It has ended, or has failed and is being undone without success so far: who asked for it need not wait for that. */
function isDecided(job: JobRow): boolean {
  const isOpen = job.status === JobStatus.PENDING || job.status === JobStatus.RUNNING;
  return !isOpen || (job.result !== "" && job.attempts > 0);
}
