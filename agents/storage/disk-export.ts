import { isDeepStrictEqual } from "node:util";
import { describeError, VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";
import { ControlUnreachableError, callControl } from "../common/control-socket.js";
import {
  adoptDetached,
  type DetachedProcess,
  kill9AndWait,
  startDetached,
  waitUntilGone,
} from "../common/detached-process.js";
import { readDurable, writeDurable } from "../common/durable-file.js";
import { InTurn } from "../common/in-turn.js";
import { pause } from "../common/pause.js";
import { isAlive, type ProcessRecord } from "../common/process-record.js";
import { type ExportSpec, exportFile, findExport } from "./export-files.js";
import type { GrantsDocument } from "./grants.js";
import { DISK_FAILED } from "./nbd/disk-life.js";

export interface DiskExportOptions {
  readonly spec: ExportSpec;
  readonly folder: string;
  /** The compiled entry of the export process. */
  readonly entry: string;
  readonly grantsOf: () => GrantsDocument;
  /** Checks that the disk at the path still is this disk; rejects if it is not. */
  readonly verify: () => Promise<void>;
  /** Called when the process ended because the disk failed a write or a flush. */
  readonly onDiskFailed: () => void;
  readonly log: Log;
}

const ANSWER_MS: Milliseconds = 4000;
const GONE_MS: Milliseconds = 4000;
const READY_MS: Milliseconds = 10_000;
const RETRY_MS: Milliseconds = 20;
const FIRST_PAUSE_MS: Milliseconds = 200;
const LAST_PAUSE_MS: Milliseconds = 10_000;
/** A process that lived this long was sound; its end is not the last one's repeated. */
const SOUND_MS: Milliseconds = 60_000;

/**
 * The export process of one disk, seen from its control process. It is started, found again, obeyed-or-killed, and started
 * again when it dies. Invariant: at most one process lives for a disk, and the grants that it knows are never wider than
 * those that `enforce` made durable last, once that has returned.
 */
export class DiskExport {
  readonly #options: DiskExportOptions;
  readonly #turns = new InTurn();
  readonly #closing = new AbortController();
  readonly #what: string;
  #process: DetachedProcess | undefined;
  #queued: Promise<void> | undefined;
  #restarts = 0;
  #startedAt: Milliseconds = 0;

  constructor(options: DiskExportOptions) {
    this.#options = options;
    this.#what = `export of ${showDisk(options.spec.pdskid)}`;
  }

  get spec(): ExportSpec {
    return this.#options.spec;
  }

  /** Finds the living process again or starts one; returns when it answers. */
  async start(): Promise<void> {
    await this.#turns.run(() => this.#begin());
    await this.#waitUntilReady();
  }

  /**
   * Makes the grants as they are now durable, and makes the process obey them. Calls that come while one waits for its
   * turn share it.
   *
   * @throws VasError EAGAIN if the process neither obeys nor dies
   */
  enforce(): Promise<void> {
    this.#queued ??= this.#turns.run(() => {
      this.#queued = undefined;
      return this.#pushGrants();
    });
    return this.#queued;
  }

  /** Ends the process: asked first, then killed. */
  async stop(): Promise<void> {
    this.release();
    await this.#turns.run(async () => {
      const record = this.#process?.record;
      if (record === undefined) return;
      if (isAlive(record)) {
        await callControl(this.spec.controlSocket, "stop", {}, ANSWER_MS)
          .then(() => waitUntilGone(record, GONE_MS))
          .catch(() => undefined);
      }
      await kill9AndWait(record, GONE_MS);
    });
  }

  /** Leaves the process alone from now on. */
  release(): void {
    this.#closing.abort();
    this.#process?.release();
  }

  /** Whether the process, or what is left of it, is known; if not, there was none when it was last looked for. */
  get holdsProcess(): boolean {
    return this.#process !== undefined;
  }

  async #begin(): Promise<void> {
    if (this.#process !== undefined && isAlive(this.#process.record)) return;
    await this.#hold();
    const held = this.#process?.record;
    // A description that can't be read is of no use: the process is replaced.
    const spec = await this.#readSpec().catch(() => undefined);
    if (held !== undefined && isAlive(held) && isDeepStrictEqual(spec, { ...this.spec })) {
      await this.#pushGrants();
      return;
    }
    // Also of a dead one: a tool that it started may still be zeroing what its successor is to write.
    if (held !== undefined) await this.#kill(held);
    await this.#launch();
  }

  /** Finds the process of an earlier life, before anything else can fail: who isn't known can't be made to obey. */
  async #hold(): Promise<void> {
    const found = await findExport(this.#options.folder, this.#options.entry, this.spec.pdskid);
    if (found === undefined || isDeepStrictEqual(found, this.#process?.record)) return;
    this.#watch(adoptDetached(found));
  }

  async #pushGrants(): Promise<void> {
    await writeDurable(this.spec.grantsFile, this.#options.grantsOf());
    if (this.#process === undefined) await this.#hold();
    const record = this.#process?.record;
    if (record === undefined) return;
    // A dead one reads the file when it is started again; nothing that it started may live on.
    if (!(await this.#obeys(record))) await this.#kill(record);
  }

  async #obeys(record: ProcessRecord): Promise<boolean> {
    if (!isAlive(record)) return false;
    try {
      return (await this.#tell(record, "setGrants", this.#options.grantsOf())) !== undefined;
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        `${this.#what} does not obey and is killed: ${describeError(error)}`,
      );
      return false;
    }
  }

  async #kill(record: ProcessRecord): Promise<void> {
    try {
      await kill9AndWait(record, GONE_MS);
    } catch (cause) {
      throw new VasError("EAGAIN", `the ${this.#what} can't be stopped: ${describeError(cause)}`, { cause });
    }
  }

  /** Calls a process that may not listen yet, as long as it lives; returns undefined when it died. */
  async #tell(
    record: ProcessRecord,
    method: string,
    params: unknown,
    withinMs = ANSWER_MS,
  ): Promise<unknown> {
    const deadline = AbortSignal.timeout(withinMs);
    for (;;) {
      try {
        return await callControl(this.spec.controlSocket, method, params, withinMs);
      } catch (error) {
        if (!isAlive(record)) return undefined;
        if (!(error instanceof ControlUnreachableError) || deadline.aborted) throw error;
        await pause(RETRY_MS, deadline);
      }
    }
  }

  async #waitUntilReady(): Promise<void> {
    const record = this.#process?.record;
    const status = record === undefined ? undefined : await this.#tell(record, "status", {}, READY_MS);
    if (status === undefined) throw new Error(`the ${this.#what} ended at once; see ${this.#logFile}`);
  }

  async #launch(): Promise<void> {
    const { folder, entry, spec } = this.#options;
    await writeDurable(spec.grantsFile, this.#options.grantsOf());
    const specFile = exportFile(folder, spec.pdskid, "spec.json");
    await writeDurable(specFile, spec);
    const started = await startDetached({
      entry,
      args: [specFile],
      logFile: this.#logFile,
      what: this.#what,
    });
    this.#watch(started);
    await writeDurable(exportFile(folder, spec.pdskid, "process.json"), started.record);
  }

  #watch(process: DetachedProcess): void {
    this.#process = process;
    this.#startedAt = performance.now();
    void process.exited.then((code) => {
      if (code === DISK_FAILED) this.#options.onDiskFailed();
      return this.#restart(process);
    });
  }

  async #restart(died: DetachedProcess): Promise<void> {
    if (this.#closing.signal.aborted || this.#process !== died) return;
    if (performance.now() - this.#startedAt > SOUND_MS) this.#restarts = 0;
    const ms = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#restarts);
    this.#restarts += 1;
    this.#options.log.warn(`the ${this.#what} ended and is started again in ${ms} ms; see ${this.#logFile}`);
    await pause(ms, this.#closing.signal);
    if (this.#closing.signal.aborted) return;
    try {
      await this.#options.verify();
      if (this.#closing.signal.aborted) return;
      await this.start();
    } catch (error) {
      this.#options.log.error({ err: error }, `the ${this.#what} can't be started: ${describeError(error)}`);
      // A process that started and died has a watcher of its own; without one, it is up to us to try again.
      if (this.#process === died) await this.#restart(died);
    }
  }

  async #readSpec(): Promise<unknown> {
    return readDurable(exportFile(this.#options.folder, this.spec.pdskid, "spec.json"));
  }

  get #logFile(): string {
    return exportFile(this.#options.folder, this.spec.pdskid, "log");
  }
}
