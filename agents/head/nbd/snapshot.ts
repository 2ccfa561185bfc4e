import { describeError, VasError } from "../../../shared/errors.js";
import { showVolume } from "../../../shared/ids.js";
import type { ParsedSnapshot } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import { SNAPSHOT_CHUNK_BYTES } from "../../../shared/snapshot-space.js";
import type { Bytes, Milliseconds } from "../../../shared/units.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import type { ManagerPort } from "../manager-port.js";
import { sliceBuffers } from "./buffer-list.js";
import type { DiskDone } from "./disk-request.js";
import type { ChunkRun } from "./kept-chunks.js";
import { collect, type Linear } from "./linear.js";
import type { SnapshotSpace } from "./snapshot-space.js";
import { StallClock } from "./stall-clock.js";

/**
 * `creating`: nothing is kept for it yet. `active`. `invalid`: something that it needs was not kept; it answers EIO for ever.
 * `ended`: dropped, it is not there any more.
 */
export type SnapshotState = "creating" | "active" | "invalid" | "ended";

export interface SnapshotOptions {
  readonly node: ParsedSnapshot;
  readonly space: SnapshotSpace;
  /** The volume's own data. */
  readonly origin: Linear;
  readonly manager: ManagerPort;
  /** How long the space may be without success while it is used. */
  readonly timeoutMs: Milliseconds;
  readonly log: Log;
  /** The manager has recorded that it is invalid. */
  readonly onRecorded: (snapshot: Snapshot) => void;
}

/** The chunks that a range of bytes lies in. */
export function chunksOfRange(offset: Bytes, length: Bytes): ChunkRun {
  const first = Math.floor(offset / SNAPSHOT_CHUNK_BYTES);
  return { first, end: Math.ceil((offset + length) / SNAPSHOT_CHUNK_BYTES) };
}

/**
 * One snapshot of the volume. What it holds is in its copy-on-write space for the chunks that are kept there, and in the
 * origin for all others, which were not written to since its instant.
 *
 * Whatever goes wrong with it is its own affair: it becomes invalid, which the manager records (`recorded`) before an origin
 * write that it would have needed goes on (rule R9).
 */
export class Snapshot {
  state: SnapshotState = "creating";
  /** Not undefined: it is invalid. Resolves when the manager has recorded that. */
  recorded: Promise<void> | undefined;
  readonly #options: SnapshotOptions;
  readonly #clock: StallClock;
  /** Wakes up those who wait for something that is not waited for any more. */
  readonly #waiting = new Set<() => void>();
  #failure: VasError | undefined;
  #discarded: Promise<void> | undefined;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    const { manager, timeoutMs } = options;
    this.#clock = new StallClock({
      limitMs: timeoutMs,
      // What waits for the manager waits for as long as it takes; without it a failure could not be recorded anyway.
      isPaused: () => manager.isAsking,
      onStalled: () =>
        this.fail(new VasError("ETIMEDOUT", `its copy-on-write space did not answer for ${timeoutMs} ms`)),
    });
  }

  get node(): ParsedSnapshot {
    return this.#options.node;
  }
  get lvolid(): number {
    return this.node.lvolid;
  }
  get name(): string {
    return this.node.lvolspec.lvolname;
  }
  get space(): SnapshotSpace {
    return this.#options.space;
  }
  /** As large as its origin. */
  get size(): Bytes {
    return this.space.geometry.originBytes;
  }

  /**
   * Makes its space fit for use.
   *
   * @param work gets on for as long as the space's disks answer
   * @throws VasError what is wrong with it
   */
  async prepare(work: (space: SnapshotSpace) => Promise<void>): Promise<void> {
    await this.#watch(work(this.space), () => this.space.answered);
    this.assertSound();
  }

  /** @throws VasError if something has gone wrong with it since it was made */
  assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.state === "ended") throw new VasError("ECANCELED", "the snapshot was dropped");
  }

  /** From now on every chunk is kept before it is written to. */
  activate(): void {
    this.state = "active";
  }

  /**
   * Keeps chunks before they are written to. Resolves when they are kept, or the snapshot can't have them any more.
   *
   * @param data of all chunks of the run
   */
  async keep(run: ChunkRun, data: readonly Buffer[]): Promise<void> {
    if (this.state === "active") await this.#watch(this.space.keep(run, data));
  }

  /** Something that it needs can't be kept or read: it becomes invalid. While it is being made, that fails. */
  fail(error: VasError): void {
    if (this.#failure !== undefined || this.state === "ended") return;
    this.#failure = error;
    if (this.state === "active") this.#invalidate(error.sentence);
    this.#wake();
  }

  /** It can't be had at the start of the process: as if it had failed in use. */
  giveUp(error: unknown): void {
    this.#failure ??= error instanceof VasError ? error : new VasError("EIO", describeError(error));
    this.#invalidate(this.#failure.sentence);
  }

  /** It is not wanted any more. Resolves when nothing can land in its space any more. */
  drop(): Promise<void> {
    this.state = "ended";
    this.#wake();
    return this.#discard();
  }

  read(offset: Bytes, length: Bytes, done: DiskDone): void {
    if (this.state === "active") this.#readRuns(offset, length, undefined, done);
    else done(NbdErrno.EIO);
  }

  /**
   * @param known what was read of this range from the origin, if it was: right for the chunks that are not kept by now, since
   * the origin is written to only after they are
   */
  #readRuns(offset: Bytes, length: Bytes, known: readonly Buffer[] | undefined, done: DiskDone): void {
    const runs = this.space.kept.cut(chunksOfRange(offset, length));
    const parts: (readonly Buffer[])[] = [];
    const one = collect(runs.length, (errno) => done(errno, parts.flat()));
    for (const [index, { first, end, isKept }] of runs.entries()) {
      const from = Math.max(offset, first * SNAPSHOT_CHUNK_BYTES);
      const to = Math.min(offset + length, end * SNAPSHOT_CHUNK_BYTES);
      const got: DiskDone = (errno, data = []) => {
        parts[index] = data;
        one(errno);
      };
      if (isKept) this.space.read(from, to - from, got);
      else if (known !== undefined) got(0, sliceBuffers(known, from - offset, to - offset));
      else this.#readOrigin(from, to - from, got);
    }
  }

  #readOrigin(offset: Bytes, length: Bytes, done: DiskDone): void {
    this.#options.origin.read(offset, length, (errno, data = []) => {
      if (this.state !== "active") done(NbdErrno.EIO);
      else if (errno !== 0) done(errno);
      else this.#readRuns(offset, length, data, done);
    });
  }

  /** Waits for work of its space, but not after that matters no more. What goes wrong is a failure of the snapshot. */
  #watch(work: Promise<void>, progress?: () => number): Promise<void> {
    const awaited = this.#clock.begin(progress);
    return new Promise((resolve) => {
      const end = (): void => {
        this.#clock.end(awaited);
        this.#waiting.delete(end);
        resolve();
      };
      this.#waiting.add(end);
      work.then(end, (error: unknown) => {
        this.fail(error instanceof VasError ? error : new VasError("EIO", describeError(error)));
        end();
      });
    });
  }

  #invalidate(reason: string): void {
    const { manager, log, onRecorded } = this.#options;
    this.state = "invalid";
    log.error(`snapshot ${showVolume(this.lvolid)} is invalid: ${reason}`);
    this.recorded = manager.reportSnapshotFailure(this.lvolid, reason).then(() => onRecorded(this));
    void this.#discard();
  }

  #wake(): void {
    for (const end of [...this.#waiting]) end();
  }

  #discard(): Promise<void> {
    this.#clock.stop();
    this.#discarded ??= this.space.discard();
    return this.#discarded;
  }
}
