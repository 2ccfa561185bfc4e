import type { Clock } from "../../shared/clock.js";
import { describeError, VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import type { ParsedSnapshot, ParsedVolume } from "../../shared/layout-tree.js";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";
import { ControlTimeoutError, ControlUnreachableError } from "../common/control-socket.js";
import { InTurn } from "../common/in-turn.js";
import type { ManagerClient } from "../common/manager-client.js";
import { pause } from "../common/pause.js";
import type { ProcessRecord } from "../common/process-record.js";
import { refreshTree, UnknownMemberError } from "./refresh-tree.js";
import { addSnapshot, removeSnapshot } from "./snapshots-of-tree.js";
import { ExitCode } from "./volume-exit.js";
import type { VolumeDocument, VolumeFiles } from "./volume-files.js";
import { VolumeProcess, type VolumeProgram } from "./volume-process.js";

export interface VolumeSurroundings {
  readonly program: VolumeProgram;
  readonly files: VolumeFiles;
  readonly manager: ManagerClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly attachMs: Milliseconds;
  readonly detachMs: Milliseconds;
  /** Called when a volume ended by itself and is forgotten. */
  readonly onGone: (volume: AttachedVolume) => void;
}

/** Restarts in a row, each without serving for a while, before a volume is given up. */
const MAX_RESTARTS = 10;
/** A process that served this long was sound; the next failure is a new one. */
const SOUND_MS: Milliseconds = 60_000;
const FIRST_PAUSE_MS: Milliseconds = 200;
const LAST_PAUSE_MS: Milliseconds = 10_000;

/**
 * A volume that is attached to this head, over all the processes that serve it one after the other. Invariants: at most one
 * process lives; after `end` none does, and none is started again.
 */
export class AttachedVolume {
  readonly #around: VolumeSurroundings;
  readonly #ending = new AbortController();
  /** Processes are started and ended, and the document is written, by one at a time. */
  readonly #turns = new InTurn();
  #document: VolumeDocument;
  #process: VolumeProcess | undefined;
  /** A detach is being asked for: if the process ends now, that is what was wanted. */
  #isDetaching = false;
  #hasServed = false;
  #restarts = 0;
  /** Jobs that had a snapshot taken, and the newest ones whose deletion of a snapshot was refused, by the snapshot. */
  readonly #takenBy = new Map<number, number>();
  readonly #refusals = new Map<number, number>();
  #startedAt: Milliseconds = 0;

  constructor(around: VolumeSurroundings, document: VolumeDocument) {
    this.#around = around;
    this.#document = document;
  }

  get lvolid(): number {
    return this.#document.lvolid;
  }

  get epoch(): number {
    return this.#document.epoch;
  }

  get document(): VolumeDocument {
    return this.#document;
  }

  /** The process, if one lives now. */
  get process(): VolumeProcess | undefined {
    return this.#process?.isAlive ? this.#process : undefined;
  }

  /** Goes on with a process that an earlier life of ours started. */
  adopt(record: ProcessRecord): void {
    const { program, files } = this.#around;
    this.#watch(VolumeProcess.adopt(program, files, this.#document, record));
    // It may have served, so it must be asked to flush before it is ended.
    this.#hasServed = true;
  }

  /** Starts the first process. What an attachment before left behind is none of this one's. */
  launch(): Promise<void> {
    return this.#turns.run(async () => {
      await this.#around.program.remains?.takeDown(this.lvolid, this.epoch - 1);
      await this.#launch();
    });
  }

  /** Goes on with a volume that is there although its process is dead: it is started again. */
  goOn(): void {
    this.#hasServed = true;
    void this.#restart(() => this.#ending.signal.aborted).catch((error: unknown) =>
      this.#giveUp(describeError(error)),
    );
  }

  async #launch(): Promise<void> {
    const { program, files, clock } = this.#around;
    this.#startedAt = clock.monotonic();
    const process = await VolumeProcess.launch(program, files, this.#document);
    this.#document = { ...this.#document, process: process.record };
    this.#watch(process);
  }

  /** Waits until the volume is served. @throws VasError, see `VolumeProcess.untilServing` */
  async untilServing(): Promise<void> {
    const process = this.#process;
    if (process === undefined) throw new VasError("EIO", `${showVolume(this.lvolid)} has no process`);
    await process.untilServing(this.#around.attachMs, this.#ending.signal);
    this.#hasServed = true;
  }

  /** Gives up a start that is under way, so that a detach need not wait for it. */
  abandonStart(): void {
    if (!this.#hasServed) this.#ending.abort();
  }

  /** Changes what is remembered of the volume, durably. */
  remember(
    change: (document: VolumeDocument) => Partial<Pick<VolumeDocument, "lvolstruct" | "joining">>,
  ): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#ending.signal.aborted) return;
      this.#document = { ...this.#document, ...change(this.#document) };
      await this.#around.files.write(this.#document);
    });
  }

  /**
   * Has a snapshot taken. It is remembered first: a process that is started again keeps it from then on. If this fails, the
   * manager has it ended again. A call that was held up on its way is told by the manager's word, or by its job.
   *
   * @throws VasError EAGAIN while no process serves the volume or the manager can't be asked, ESTALE if the snapshot is not to
   * be taken any more, else as the volume process answers it
   */
  async createSnapshot(snapshot: ParsedSnapshot, jobid: number): Promise<void> {
    const { lvolid } = snapshot;
    // Once more than needed: its instant must not move after the caller was told of it.
    if (this.#takenBy.get(lvolid) === jobid) return;
    const process = this.process;
    if (process === undefined) throw this.#startedAgain();
    const status = await this.#snapshotStatus(lvolid);
    if (status !== "CREATING")
      throw new VasError("ESTALE", `${showVolume(lvolid)} is not to be taken: it is ${status ?? "gone"}`);
    await this.remember(({ lvolstruct }) => ({ lvolstruct: addSnapshot(lvolstruct, snapshot) }));
    // What an earlier attempt left is of another instant: it may have been dropped in between, by a process that then died.
    await this.#ask(process, "deleteSnapshot", { lvolid });
    await this.#ask(process, "createSnapshot", { lvolstruct: snapshot });
    this.#takenBy.set(lvolid, jobid);
  }

  /**
   * Has a snapshot ended. When this returns, no process uses it, and none will.
   *
   * @throws VasError EBUSY while a client uses it, or if that was this job's answer before: the manager goes on with the snapshot
   * then. EAGAIN while the process is not ready or the manager can't be asked, ESTALE if the snapshot is not to be ended
   */
  deleteSnapshot(lvolid: number, jobid: number): Promise<void> {
    return this.#turns.run(async () => {
      const status = await this.#snapshotStatus(lvolid);
      if (status === "VALID")
        throw new VasError("ESTALE", `${showVolume(lvolid)} is VALID: its deletion was refused meanwhile`);
      // The refusal may be about to be recorded. A snapshot that is to be undone is asked for until it can be ended.
      const refused = this.#refusals.get(lvolid);
      if (status === "DELETING" && refused !== undefined && jobid <= refused)
        throw new VasError("EBUSY", `the deletion of ${showVolume(lvolid)} was refused before`);
      const process = this.process;
      if (process !== undefined) await this.#askToEndSnapshot(process, lvolid, jobid);
      this.#takenBy.delete(lvolid);
      this.#document = {
        ...this.#document,
        lvolstruct: removeSnapshot(this.#document.lvolstruct, lvolid),
      };
      if (!this.#ending.signal.aborted) await this.#around.files.write(this.#document);
    });
  }

  async #askToEndSnapshot(process: VolumeProcess, lvolid: number, jobid: number): Promise<void> {
    try {
      await this.#ask(process, "deleteSnapshot", { lvolid });
    } catch (error) {
      if (error instanceof VasError && error.errno === "EBUSY") this.#refusals.set(lvolid, jobid);
      throw error;
    }
  }

  /** What the manager holds of a snapshot: a call may have been held up on its way until that is not wanted any more. */
  async #snapshotStatus(lvolid: number): Promise<string | undefined> {
    const { lvolid: origin, epoch } = this.#document;
    try {
      const all = await this.#around.manager.call("getSnapshots", { lvolid: origin, epoch });
      return all.find(({ snapshot_lvolid }) => snapshot_lvolid === lvolid)?.snapshot_status;
    } catch (error) {
      throw new VasError("EAGAIN", `${showVolume(lvolid)}: ${describeError(error)}`, { cause: error });
    }
  }

  async #ask(process: VolumeProcess, method: string, params: unknown): Promise<void> {
    try {
      await process.call(method, params, this.#around.attachMs);
    } catch (error) {
      if (error instanceof VasError) throw error;
      throw new VasError("EAGAIN", `${showVolume(this.lvolid)}: ${describeError(error)}`, { cause: error });
    }
  }

  #startedAgain(): VasError {
    return new VasError("EAGAIN", `${showVolume(this.lvolid)} is being started again`);
  }

  /**
   * Has the volume flushed and its process end; it is not restarted.
   *
   * @throws VasError EBUSY while a client uses it, ETIMEDOUT if it can't flush; then it goes on
   */
  async detach(): Promise<void> {
    const process = this.process;
    if (process !== undefined && this.#hasServed) {
      this.#isDetaching = true;
      try {
        await this.#askToDetach(process);
      } catch (error) {
        this.#isDetaching = false;
        if (!process.isAlive) void this.#onExit(process, undefined);
        throw error;
      }
    }
    await this.end();
  }

  /** Ends the process at once, if one lives, and forgets the volume. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#turns.run(async () => {
      await this.#process?.kill();
      this.#process?.release();
      await this.#around.program.remains?.takeDown(this.lvolid, this.epoch);
      await this.#around.files.remove(this.lvolid);
    });
  }

  /** Leaves the process to itself. */
  release(): void {
    this.#ending.abort();
    this.#process?.release();
  }

  async #askToDetach(process: VolumeProcess): Promise<void> {
    try {
      await process.call("detach", {}, this.#around.detachMs);
      await process.untilGone();
    } catch (error) {
      // A process that is dead, or does not listen since it is not ready to serve, has nothing to flush: what was
      // acknowledged before it is on the disks, and the bitmaps tell what was under way.
      if (error instanceof ControlUnreachableError) return;
      if (error instanceof ControlTimeoutError) {
        const sentence = `${showVolume(this.lvolid)} can't be flushed now: ${error.message}`;
        throw new VasError("ETIMEDOUT", sentence, { cause: error });
      }
      throw error;
    }
  }

  #watch(process: VolumeProcess): void {
    this.#process = process;
    void process.exited.then((code) => this.#onExit(process, code));
  }

  async #onExit(process: VolumeProcess, code: number | undefined): Promise<void> {
    const isExpected = (): boolean =>
      this.#isDetaching || this.#ending.signal.aborted || this.#process !== process;
    // A start that fails is told to whoever waits for it, and not repeated here.
    if (isExpected() || !this.#hasServed) return;
    const { log, clock } = this.#around;
    const volume = showVolume(this.lvolid);
    if (code === ExitCode.FENCED || code === 0) {
      await this.#giveUp(code === ExitCode.FENCED ? "its epoch is closed" : "its process ended by itself");
      return;
    }
    if (clock.monotonic() - this.#startedAt > SOUND_MS) this.#restarts = 0;
    this.#restarts += 1;
    if (this.#restarts > MAX_RESTARTS) {
      await this.#giveUp(`its process ended ${MAX_RESTARTS} times in a row`);
      return;
    }
    log.error(`the process of ${volume} ended with ${code ?? "a signal"} and is started again`);
    try {
      await this.#restart(isExpected);
    } catch (error) {
      await this.#giveUp(describeError(error));
    }
  }

  /** @throws when the volume must be given up */
  async #restart(isExpected: () => boolean): Promise<void> {
    await pause(pauseMs(this.#restarts), this.#ending.signal);
    for (let isStarted = false; !isStarted; ) {
      const known = this.#document.lvolstruct;
      const lvolstruct = await this.#currentTree(known);
      if (lvolstruct === undefined) return;
      isStarted = await this.#turns.run(async () => {
        // Somebody may have ended the volume while we waited.
        if (isExpected()) return true;
        // Or one of its snapshots.
        if (this.#document.lvolstruct !== known) return false;
        this.#document = { ...this.#document, lvolstruct };
        await this.#launch();
        return true;
      });
    }
  }

  /** The tree as the manager has it now. It is asked until it answers: a start with past members could lose writes. */
  async #currentTree(lvolstruct: ParsedVolume): Promise<ParsedVolume | undefined> {
    const { manager, log } = this.#around;
    const { epoch, joining } = this.#document;
    for (let attempt = 1; !this.#ending.signal.aborted; attempt += 1) {
      try {
        return await refreshTree(manager, epoch, lvolstruct, joining);
      } catch (error) {
        if (error instanceof UnknownMemberError || isClosed(error)) throw error;
        log.warn(`${showVolume(this.lvolid)} waits for the manager: ${describeError(error)}`);
        await pause(pauseMs(attempt), this.#ending.signal);
      }
    }
    return undefined;
  }

  async #giveUp(reason: string): Promise<void> {
    const { log, onGone } = this.#around;
    log.error(`${showVolume(this.lvolid)} is not served any more: ${reason}`);
    try {
      await this.end();
    } catch (error) {
      log.error({ err: error }, describeError(error));
    }
    onGone(this);
  }
}

/** Whether the manager says that the volume is not ours any more; all else may pass. */
function isClosed(error: unknown): boolean {
  return error instanceof VasError && (error.errno === "ESTALE" || error.errno === "ENOENT");
}

function pauseMs(attempt: number): Milliseconds {
  return Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
}
