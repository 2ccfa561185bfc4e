import { describeError, errorRegistry, VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { EventProgress } from "../../shared/methods/agent-methods.js";
import { EventStatus } from "../../shared/states.js";
import { extentPlace } from "../../shared/units.js";
import { InTurn } from "../common/in-turn.js";
import type { OpenDisk } from "./disks.js";
import type { Grants } from "./grants.js";
import type { ShredTarget } from "./shred-rules.js";
import { zeroRange } from "./zero-range.js";

export interface ShredderOptions {
  readonly grants: Grants;
  /** Opens a disk that was verified, this time too, to be the one with this id. The shredder closes it. */
  readonly openDisk: (pdskid: number) => Promise<OpenDisk>;
  /** Returns when no request of a grant that is gone can reach the disk any more. */
  readonly drain: (pdskid: number) => Promise<void>;
  /** Writes down which process is about to zero a disk, so that it is ended first if we die meanwhile. */
  readonly recordTool: (pdskid: number, pid: number) => Promise<void>;
}

/** A shred, to wait for. */
export interface ShredJob {
  /** Has the listener told how far the shred is, in percent. */
  onProgress(listener: (percent: number) => void): void;
  /** Resolves when zeros are durable on all of the place, and rejects if they are not. */
  readonly done: Promise<void>;
}

interface RunningJob extends ShredJob {
  /** Percent. */
  progress: number;
  readonly listeners: ((percent: number) => void)[];
}

const FINISHED: ShredJob = { onProgress: () => undefined, done: Promise.resolve() };

/** Failed shreds whose reason is kept for those who ask. */
const MAX_FAILURES = 1024;

/** Overwrites extents with zeros, one at a time on each disk. A shred that was begun is known by place and generation. */
export class Shredder {
  readonly #options: ShredderOptions;
  readonly #disks = new Map<number, InTurn>();
  /** Two calls about the same place must not both find that nobody began. */
  readonly #beginnings = new InTurn();
  readonly #jobs = new Map<string, RunningJob>();
  readonly #failures = new Map<string, string>();
  readonly #stopping = new AbortController();

  constructor(options: ShredderOptions) {
    this.#options = options;
  }

  /**
   * Begins a shred, or joins the same one. When the call returns, the space can't be granted until it is over.
   *
   * @throws VasError, see decideShred
   */
  begin(target: ShredTarget): Promise<ShredJob> {
    return this.#beginnings.run(async () => {
      const running = this.#jobs.get(keyOf(target));
      if (running !== undefined) return running;
      const isNeeded = await this.#options.grants.beginShred(target);
      return isNeeded ? this.#start(target) : FINISHED;
    });
  }

  /** What became of a shred. @throws VasError ENOENT, EINVAL */
  status(target: ShredTarget): EventProgress {
    if (this.#options.grants.isShredded(target)) {
      return { status: EventStatus.DONE, result: 0, sentence: "", progress: 100 };
    }
    const key = keyOf(target);
    const job = this.#jobs.get(key);
    if (job !== undefined) {
      return { status: EventStatus.PROGRESS, result: 0, sentence: "", progress: job.progress };
    }
    const sentence = this.#failures.get(key);
    return sentence === undefined
      ? { status: EventStatus.NONE, result: 0, sentence: "", progress: -1 }
      : { status: EventStatus.ERROR, result: errorRegistry.EIO.code, sentence, progress: -1 };
  }

  /** Ends all shreds as they are, their tools killed; the manager asks again. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the storage agent stops"));
    await Promise.allSettled([...this.#jobs.values()].map((job) => job.done));
  }

  #start(target: ShredTarget): RunningJob {
    const key = keyOf(target);
    this.#failures.delete(key);
    const listeners: RunningJob["listeners"] = [];
    const job: RunningJob = {
      progress: 0,
      listeners,
      onProgress: (listener) => listeners.push(listener),
      done: this.#turnsOf(target.pdskid).run(() => this.#shred(target, job)),
    };
    this.#jobs.set(key, job);
    const forget = (): boolean => this.#jobs.delete(key);
    job.done.then(forget, (error: unknown) => {
      forget();
      this.#rememberFailure(key, describeError(error));
    });
    return job;
  }

  async #shred(target: ShredTarget, job: RunningJob): Promise<void> {
    let isZero = false;
    try {
      this.#stopping.signal.throwIfAborted();
      await this.#options.drain(target.pdskid);
      await this.#overwrite(target, job);
      isZero = true;
    } catch (cause) {
      if (cause instanceof VasError) throw cause;
      throw new VasError("EIO", `shredding ${showDisk(target.pdskid)} failed: ${describeError(cause)}`, {
        cause,
      });
    } finally {
      await this.#options.grants.endShred(target, isZero);
    }
  }

  /** Zeros on the metadata and the data of the place, then fdatasync: only a durable zero is one (rule R4). */
  async #overwrite(target: ShredTarget, job: RunningJob): Promise<void> {
    const { start, end } = extentPlace(target.offset, target.capacity);
    const { handle, kind } = await this.#options.openDisk(target.pdskid);
    try {
      const progress = (part: number): void => {
        job.progress = Math.floor(part * 99);
        for (const tell of job.listeners) tell(job.progress);
      };
      const record = (pid: number): Promise<void> => this.#options.recordTool(target.pdskid, pid);
      await zeroRange({ disk: handle, kind, start, end, signal: this.#stopping.signal, record, progress });
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }

  #turnsOf(pdskid: number): InTurn {
    const turns = this.#disks.get(pdskid) ?? new InTurn();
    this.#disks.set(pdskid, turns);
    return turns;
  }

  #rememberFailure(key: string, sentence: string): void {
    this.#failures.set(key, sentence);
    if (this.#failures.size <= MAX_FAILURES) return;
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest);
      return;
    }
  }
}

function keyOf({ pdskid, offset, capacity, generation }: ShredTarget): string {
  return `${showDisk(pdskid)} ${offset}+${capacity} generation ${generation}`;
}
