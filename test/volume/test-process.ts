import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { fileURLToPath } from "node:url";

/** A compiled program of ours as a child process, with its output in a file. */
export class TestProcess {
  readonly exited: Promise<number | undefined>;
  #isOver = false;
  readonly #child: ChildProcess;

  constructor(program: string, argument: string, log: string, environment: NodeJS.ProcessEnv = {}) {
    const entry = fileURLToPath(new URL(`../../dist/${program}`, import.meta.url));
    this.#child = spawn(process.execPath, [entry, argument], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = createWriteStream(log, { flags: "a" });
    this.#child.stdout?.pipe(output, { end: false });
    this.#child.stderr?.pipe(output, { end: false });
    this.exited = new Promise((resolve) => {
      this.#child.once("close", (code) => {
        // Not before all that it said is in the file.
        output.end(() => {
          this.#isOver = true;
          resolve(code ?? undefined);
        });
      });
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** kill -9, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}
