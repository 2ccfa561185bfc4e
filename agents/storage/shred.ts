import type { Clock } from "../../shared/clock.js";
import type { VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { EventProgress } from "../../shared/methods/agent-methods.js";
import { EventStatus } from "../../shared/states.js";
import { type Bytes, extentPlace, type Gigabytes, type Milliseconds } from "../../shared/units.js";
import { InTurn } from "../common/in-turn.js";
import { pause } from "../common/pause.js";
import { DiskRate } from "./disk-rate.js";
import type { OpenDisk } from "./disks.js";
import type { Span } from "./generation-map.js";
import type { Grants } from "./grants.js";
import { besidesDisk, shredError } from "./shred-errors.js";
import type { ShredTarget } from "./shred-rules.js";
import { zeroRange } from "./zero-range.js";

import { verifyZero } from "./zero-verify.js";

export interface ShredderOptions {
  readonly grants: Grants;
  /** Opens a disk that was verified, this time too, to be the one with this id. The shredder closes it. */
  readonly openDisk: (pdskid: number) => Promise<OpenDisk>;
  /** Returns when no request of a grant that is gone can reach the disk any more. */
  readonly drain: (pdskid: number) => Promise<void>;
  /** Writes down which process is about to zero a disk, so that it is ended first if we die meanwhile. */
  readonly recordTool: (pdskid: number, pid: number) => Promise<void>;
  /** What each disk may be loaded with, in bytes a second; 0 = no limit. */
  readonly bytesPerSecond: Bytes;
  /** Zeros are read back before they are believed. */
  readonly verify: boolean;
  readonly clock: Pick<Clock, "monotonic">;
}

/** A shred, to wait for. */
export interface ShredJob {
  /** Has the listener told how far the shred is, in percent. */
  onProgress(listener: (percent: number) => void): void;
  /** Resolves when zeros are durable on all of the place, and rejects if they are not. */
  readonly done: Promise<void>;
}

interface RunningJob extends ShredJob {
  readonly pdskid: number;
  /** Percent. */
  progress: number;
  readonly listeners: ((percent: number) => void)[];
}

const FINISHED: ShredJob = { onProgress: () => undefined, done: Promise.resolve() };

interface DiskTurns {
  readonly turns: InTurn;
  readonly rate: DiskRate;
  /** Aborted when no more shreds of the disk are wanted. */
  readonly ending: AbortController;
  /** That, or the end of all shreds. */
  readonly signal: AbortSignal;
}

/** Failed shreds whose reason is kept for those who ask. */
const MAX_FAILURES = 1024;
/** So much is zeroed between two looks at the clock. */
const STRETCH: Gigabytes = 4;
/** What was zeroed is made durable and written down so often: an agent that is killed loses no more work than this. */
const KEEP_MS: Milliseconds = 10_000;
/** A disk that hangs may never let go of a request. */
const END_MS: Milliseconds = 10_000;

/** Overwrites extents with zeros, one at a time on each disk. A shred that was begun is known by place and generation. */
export class Shredder {
  readonly #options: ShredderOptions;
  readonly #disks = new Map<number, DiskTurns>();
  /** Two calls about the same place must not both find that nobody began. */
  readonly #beginnings = new InTurn();
  readonly #jobs = new Map<string, RunningJob>();
  readonly #failures = new Map<string, VasError>();
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
    const failure = this.#failures.get(key);
    if (failure === undefined) return { status: EventStatus.NONE, result: 0, sentence: "", progress: -1 };
    const { code: result, sentence } = failure;
    return { status: EventStatus.ERROR, result, sentence, progress: -1 };
  }

  /**
   * Ends the shreds of a disk that no new ones can be begun on; when this returns, none overwrites anything any more.
   *
   * @throws Error if that can't be had in time
   */
  async end(pdskid: number): Promise<void> {
    // One that is about to begin is waited for.
    const running = await this.#beginnings.run(async () =>
      [...this.#jobs.values()].filter((job) => job.pdskid === pdskid),
    );
    const disk = this.#disks.get(pdskid);
    disk?.ending.abort(new Error(`${showDisk(pdskid)} is not served any more`));
    const waiting = new AbortController();
    let isEnded = false;
    const ended = Promise.allSettled(running.map((job) => job.done)).then(() => {
      isEnded = true;
      if (this.#disks.get(pdskid) === disk) this.#disks.delete(pdskid);
    });
    await Promise.race([ended, pause(END_MS, waiting.signal)]);
    waiting.abort();
    if (!isEnded) throw new Error(`the shreds of ${showDisk(pdskid)} do not end`);
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
      pdskid: target.pdskid,
      progress: 0,
      listeners,
      onProgress: (listener) => listeners.push(listener),
      done: this.#diskOf(target.pdskid).turns.run(() => this.#shred(target, job)),
    };
    this.#jobs.set(key, job);
    const forget = (): boolean => this.#jobs.delete(key);
    job.done.then(forget, (error: VasError) => {
      forget();
      this.#rememberFailure(key, error);
    });
    return job;
  }

  /** @throws VasError, see shredError */
  async #shred(target: ShredTarget, job: RunningJob): Promise<void> {
    const { grants, drain } = this.#options;
    const { pdskid } = target;
    let isZero = false;
    try {
      this.#diskOf(pdskid).signal.throwIfAborted();
      await besidesDisk(pdskid, () => drain(pdskid));
      await this.#overwrite(target, job);
      isZero = true;
    } catch (cause) {
      throw shredError(pdskid, cause);
    } finally {
      await besidesDisk(pdskid, () => grants.endShred(target, isZero));
    }
  }

  /** Zeros on the metadata and the data of the place, then fdatasync: only a durable zero is one (rule R4). */
  async #overwrite(target: ShredTarget, job: RunningJob): Promise<void> {
    const { clock, grants, openDisk } = this.#options;
    const disk = await openDisk(target.pdskid);
    try {
      const stretches = grants.unzeroedParts(target).flatMap(stretchesOf);
      let left = stretches.reduce((sum, { start, end }) => sum + end - start, 0);
      let unkept: Span[] = [];
      let keptAt = clock.monotonic();
      for (const stretch of stretches) {
        const length = stretch.end - stretch.start;
        await this.#zero(target, disk, stretch, (share) => {
          job.progress = Math.floor((1 - (left - share * length) / target.capacity) * 99);
          for (const tell of job.listeners) tell(job.progress);
        });
        left -= length;
        unkept.push(stretch);
        if (left > 0 && clock.monotonic() - keptAt < KEEP_MS) continue;
        await this.#settle(target, disk, unkept);
        // The last ones are written down with the end of the shred: it is not over before its space can be granted.
        if (left === 0) return;
        await besidesDisk(target.pdskid, () => grants.keepZeroed(target, unkept));
        unkept = [];
        keptAt = clock.monotonic();
      }
    } finally {
      await disk.handle.close();
    }
  }

  async #zero(
    { pdskid }: ShredTarget,
    { handle, kind }: OpenDisk,
    span: Span,
    progress: (part: number) => void,
  ): Promise<void> {
    const { start, end } = extentPlace(span.start, span.end - span.start);
    const record = (pid: number): Promise<void> =>
      besidesDisk(pdskid, () => this.#options.recordTool(pdskid, pid));
    const { rate, signal } = this.#diskOf(pdskid);
    await zeroRange({ disk: handle, kind, start, end, rate, signal, record, progress });
  }

  /** When it returns, zeros are durable on these spans. */
  async #settle({ pdskid }: ShredTarget, { handle }: OpenDisk, spans: readonly Span[]): Promise<void> {
    await handle.datasync();
    if (!this.#options.verify) return;
    const { rate, signal } = this.#diskOf(pdskid);
    for (const span of spans) {
      const { start, end } = extentPlace(span.start, span.end - span.start);
      await verifyZero({ disk: handle, start, end, rate, signal });
    }
  }

  #diskOf(pdskid: number): DiskTurns {
    const known = this.#disks.get(pdskid);
    if (known !== undefined) return known;
    const { bytesPerSecond, clock } = this.#options;
    const ending = new AbortController();
    const disk = {
      turns: new InTurn(),
      rate: new DiskRate({ bytesPerSecond, clock }),
      ending,
      signal: AbortSignal.any([this.#stopping.signal, ending.signal]),
    };
    this.#disks.set(pdskid, disk);
    return disk;
  }

  #rememberFailure(key: string, failure: VasError): void {
    this.#failures.set(key, failure);
    if (this.#failures.size <= MAX_FAILURES) return;
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest);
      return;
    }
  }
}

function stretchesOf(part: Span): Span[] {
  const stretches: Span[] = [];
  for (let { start } = part; start < part.end; start += STRETCH) {
    stretches.push({ start, end: Math.min(part.end, start + STRETCH) });
  }
  return stretches;
}

function keyOf({ pdskid, offset, capacity, generation }: ShredTarget): string {
  return `${showDisk(pdskid)} ${offset}+${capacity} generation ${generation}`;
}
