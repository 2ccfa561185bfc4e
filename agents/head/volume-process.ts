import { join } from "node:path";
import { z } from "zod";
import { VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import { volumeNode } from "../../shared/layout-tree.js";
import type { Milliseconds } from "../../shared/units.js";
import {
  ControlTimeoutError,
  ControlUnreachableError,
  callControl,
  checkSocketPath,
} from "../common/control-socket.js";
import {
  adoptDetached,
  type DetachedProcess,
  kill9AndWait,
  startDetached,
  waitUntilGone,
} from "../common/detached-process.js";
import { writeDurable } from "../common/durable-file.js";
import { pause } from "../common/pause.js";
import { isAlive, type ProcessRecord } from "../common/process-record.js";
import { ExitCode } from "./volume-exit.js";
import type { VolumeDocument, VolumeFiles } from "./volume-files.js";

/** What is left of a volume when its process is dead: on a data plane on which the kernel goes on without it. */
export interface VolumeRemains {
  /** Users can go on using the volume. */
  isThere(lvolid: number): Promise<boolean>;
  /** Takes down what there is of this epoch and those before. Who has the volume open gets errors. May be asked again. */
  takeDown(lvolid: number, epoch: number): Promise<void>;
}

/** What all volume processes of this head have in common. */
export interface VolumeProgram {
  /** The compiled entry of the volume process. */
  readonly entry: string;
  readonly runDir: string;
  /** What their specs have in common. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** undefined if nothing is left of a volume whose process is dead. */
  readonly remains: VolumeRemains | undefined;
}

const ANSWER_MS: Milliseconds = 5000;
const GONE_MS: Milliseconds = 10_000;
const POLL_MS: Milliseconds = 20;

const statusShape = z.object({
  state: z.string(),
  lvolstruct: volumeNode.optional(),
  resyncs: z.array(z.object({ mirrorid: z.number(), dextid: z.number(), percent: z.number() })).optional(),
  mirrors: z
    .array(
      z.object({
        mirrorid: z.number(),
        version: z.number(),
        members: z.array(z.object({ dextid: z.number(), state: z.string() })),
      }),
    )
    .optional(),
  snapshots: z.array(z.object({ lvolid: z.number(), state: z.string() })).optional(),
});
export type VolumeStatus = z.infer<typeof statusShape>;

/** The sockets of a volume, and the link by its name. @throws VasError EINVAL if a path is too long */
export function volumePaths(runDir: string, lvolid: number, lvolname: string) {
  const socket = join(runDir, showVolume(lvolid));
  const controlSocket = `${socket}.ctl`;
  checkSocketPath(controlSocket);
  return { socket, controlSocket, nameLink: join(runDir, lvolname) };
}

/** One process that serves a volume: one incarnation. */
export class VolumeProcess {
  readonly #process: DetachedProcess;
  readonly #controlSocket: string;
  readonly #logFile: string;

  private constructor(process: DetachedProcess, controlSocket: string, logFile: string) {
    this.#process = process;
    this.#controlSocket = controlSocket;
    this.#logFile = logFile;
  }

  /** Starts a process for the volume; its record is durable when this returns. */
  static async launch(
    program: VolumeProgram,
    files: VolumeFiles,
    document: VolumeDocument,
  ): Promise<VolumeProcess> {
    const { lvolid, epoch, lvolstruct, maintenance, chap } = document;
    const paths = volumePaths(program.runDir, lvolid, lvolstruct.lvolspec.lvolname);
    const incarnation = await files.nextIncarnation();
    await writeDurable(files.specFile(lvolid), {
      lvolstruct,
      epoch,
      maintenance,
      chap,
      incarnation,
      ...program.spec,
      ...paths,
    });
    await files.write({ ...document, process: null });
    const logFile = files.logFile(lvolid);
    const what = `process of ${showVolume(lvolid)}`;
    const { entry } = program;
    const started = await startDetached({ entry, args: [files.specFile(lvolid)], logFile, what });
    await files.write({ ...document, process: started.record });
    return new VolumeProcess(started, paths.controlSocket, logFile);
  }

  /** Watches a process that an earlier life of ours started. */
  static adopt(
    program: VolumeProgram,
    files: VolumeFiles,
    document: VolumeDocument,
    record: ProcessRecord,
  ): VolumeProcess {
    const { lvolid, lvolstruct } = document;
    const { controlSocket } = volumePaths(program.runDir, lvolid, lvolstruct.lvolspec.lvolname);
    return new VolumeProcess(adoptDetached(record), controlSocket, files.logFile(lvolid));
  }

  get record(): ProcessRecord {
    return this.#process.record;
  }

  get isAlive(): boolean {
    return isAlive(this.record);
  }

  /** Resolves with the exit code when the process is dead; undefined if it is not known. */
  get exited(): Promise<number | undefined> {
    return this.#process.exited;
  }

  call(method: string, params: unknown, timeoutMs: Milliseconds): Promise<unknown> {
    return callControl(this.#controlSocket, method, params, timeoutMs);
  }

  async status(withinMs = ANSWER_MS): Promise<VolumeStatus> {
    return statusShape.parse(await this.call("status", {}, withinMs));
  }

  /**
   * Waits until the volume is served.
   *
   * @throws VasError ESTALE if its epoch is closed, EIO if the process ended, ETIMEDOUT, ECANCELED by the signal
   */
  async untilServing(withinMs: Milliseconds, signal: AbortSignal): Promise<void> {
    const deadline = AbortSignal.timeout(withinMs);
    while (!(await this.#isServing())) {
      if (!this.isAlive) throw this.#endedError(await this.exited);
      if (signal.aborted) throw new VasError("ECANCELED", "the attach was given up");
      if (deadline.aborted) {
        throw new VasError(
          "ETIMEDOUT",
          `the volume is not served after ${withinMs} ms; see ${this.#logFile}`,
        );
      }
      await pause(POLL_MS, signal);
    }
  }

  async kill(): Promise<void> {
    await kill9AndWait(this.record, GONE_MS);
  }

  /** Waits for the end of a process that said it would end, and kills it if it does not. */
  async untilGone(): Promise<void> {
    await waitUntilGone(this.record, GONE_MS).catch(() => this.kill());
  }

  release(): void {
    this.#process.release();
  }

  /** Before it serves, a process may not listen yet, or be too busy to answer. */
  async #isServing(): Promise<boolean> {
    try {
      return (await this.status()).state === "serving";
    } catch (error) {
      if (error instanceof ControlUnreachableError || error instanceof ControlTimeoutError) return false;
      throw error;
    }
  }

  #endedError(code: number | undefined): VasError {
    if (code === ExitCode.FENCED) return new VasError("ESTALE", "the epoch of the volume is closed");
    const how = code === undefined ? "was killed" : `ended with code ${code}`;
    return new VasError("EIO", `the volume process ${how} before it served; see ${this.#logFile}`);
  }
}
