import { type ChildProcess, spawn } from "node:child_process";
import { VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { Bytes, Milliseconds } from "../../shared/units.js";
import { InTurn } from "../common/in-turn.js";
import type { VerifiedDisk } from "./data-plane.js";

export interface ReadRequest {
  readonly id: number;
  readonly from: Bytes;
  readonly length: Bytes;
}

export type ReadAnswer =
  | { readonly id: number; readonly sha256: string }
  | { readonly id: number; readonly code: string; readonly message: string };

export interface DiskReaderOptions {
  readonly disk: VerifiedDisk;
  readonly cluster: string;
  /** The compiled program that reads. */
  readonly entry: string;
  readonly deadlineMs?: Milliseconds;
}

/** A disk answers with the failure of a read; `code` is an errno. */
export class DiskReadError extends Error {
  override readonly name = "DiskReadError";

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Disks repeat what they can't read for a while; this is beyond what any of them takes for one request. */
const DEADLINE_MS: Milliseconds = 120_000;
/** The program is ended when nothing was read for so long: it has memory of its own. */
const IDLE_MS: Milliseconds = 10_000;
/** Users go first: idle for the disk and last for the processor, where there are the programs to say so. */
const LAUNCHER = 'ionice -c 3 -p $$ 2>&1; renice -n 19 -p $$ 2>&1; exec "$@"';

/**
 * Reads one disk past the page cache, in a process of its own: a disk that hangs holds up that one alone. It only reads, so
 * it may be left to itself when it can't be ended. It verifies the disk's label whenever it is started.
 */
export class DiskReader {
  readonly #options: DiskReaderOptions;
  readonly #turns = new InTurn();
  #child: ChildProcess | undefined;
  #idle: NodeJS.Timeout | undefined;
  #requests = 0;
  #isEnded = false;
  /** Ends the wait for an answer. */
  #giveUp: ((error: Error) => void) | undefined;

  constructor(options: DiskReaderOptions) {
    this.#options = options;
  }

  get disk(): VerifiedDisk {
    return this.#options.disk;
  }

  /**
   * Reads a range, all of it.
   *
   * @returns its SHA-256, in hex
   * @throws DiskReadError with what the disk answered
   * @throws VasError ETIMEDOUT if it does not answer; EAGAIN if the process ended, which says nothing of the disk
   */
  read(from: Bytes, length: Bytes): Promise<string> {
    return this.#turns.run(async () => {
      clearTimeout(this.#idle);
      if (this.#isEnded) throw this.#isReadNoMore();
      try {
        return await this.#ask(this.#child ?? this.#start(), from, length);
      } finally {
        this.#idle = setTimeout(() => this.#rest(), IDLE_MS);
        this.#idle.unref();
      }
    });
  }

  /** Ends the process for good; it is not waited for. Reads that are under way or queued reject. */
  end(): void {
    this.#isEnded = true;
    this.#rest();
  }

  /** Until the next read there is no process. */
  #rest(): void {
    clearTimeout(this.#idle);
    const child = this.#child;
    // One that may hang in its disk stays ours until it is dead: no second one is started beside it.
    if (this.#giveUp === undefined) this.#child = undefined;
    this.#giveUp?.(this.#isReadNoMore());
    child?.kill("SIGKILL");
  }

  #isReadNoMore(): VasError {
    return new VasError("EAGAIN", `${showDisk(this.disk.pdskid)} is not read any more`);
  }

  #start(): ChildProcess {
    const { disk, cluster, entry } = this.#options;
    const { pdskid, index, path, bytes } = disk;
    const spec = JSON.stringify({ pdskid, index, path, bytes, cluster });
    const argv = ["-c", LAUNCHER, "sh", process.execPath, entry, spec];
    const child = spawn("/bin/sh", argv, { cwd: "/", stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const forget = (): void => {
      if (this.#child === child) this.#child = undefined;
    };
    child.once("exit", forget);
    child.once("error", forget);
    // The agent may end without it.
    child.unref();
    child.channel?.unref();
    this.#child = child;
    return child;
  }

  #ask(child: ChildProcess, from: Bytes, length: Bytes): Promise<string> {
    const { deadlineMs = DEADLINE_MS, disk } = this.#options;
    this.#requests += 1;
    const id = this.#requests;
    return new Promise((resolve, reject) => {
      const settle = (error: Error | undefined, sha256 = ""): void => {
        clearTimeout(deadline);
        this.#giveUp = undefined;
        child.off("message", take);
        child.off("exit", ended);
        child.off("error", ended);
        if (error === undefined) resolve(sha256);
        else reject(error);
      };
      const take = (answer: ReadAnswer): void => {
        if (answer.id !== id) return;
        if ("sha256" in answer) settle(undefined, answer.sha256);
        else settle(new DiskReadError(answer.code, answer.message));
      };
      const ended = (): void =>
        settle(new VasError("EAGAIN", `the process that reads ${showDisk(disk.pdskid)} ended`));
      const deadline = setTimeout(() => {
        const what = `a read of ${length} bytes at byte ${from}`;
        settle(new VasError("ETIMEDOUT", `${showDisk(disk.pdskid)} does not answer ${what}: does it hang?`));
        child.kill("SIGKILL");
      }, deadlineMs);
      this.#giveUp = settle;
      child.on("message", take);
      child.once("exit", ended);
      child.once("error", ended);
      child.send({ id, from, length } satisfies ReadRequest, (error) => {
        if (error !== null) ended();
      });
    });
  }
}
