import { spawn } from "node:child_process";
import type { Milliseconds } from "../../shared/units.js";

/** A program ended with another code than 0, by a signal, or was not there. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";

  constructor(
    /** The command as a person would type it. */
    readonly command: string,
    /** undefined if a signal ended it, or it could not be started. */
    readonly code: number | undefined,
    readonly stderr: string,
    /** What it had printed before. */
    readonly stdout: string,
    options?: ErrorOptions,
  ) {
    const how = code === undefined ? "did not end by itself" : `ended with code ${code}`;
    super(`${command} ${how}${stderr === "" ? "" : `: ${stderr}`}`, options);
  }
}

export interface ProgramOptions {
  /** It is killed then. What it waits for in the kernel may hold it longer: nobody waits for that. */
  readonly timeoutMs?: Milliseconds;
  /** What it reads from its standard input. */
  readonly input?: string;
}

const TIMEOUT_MS: Milliseconds = 30_000;
const MAX_OUTPUT = 16 * 1024 * 1024;
const MAX_ERROR = 2000;
/** Where administrators' programs are, and messages that are understood whatever language the machine speaks. */
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/**
 * Runs a program to its end.
 *
 * @returns what it printed
 * @throws ProgramError
 */
export function runProgram(
  program: string,
  args: readonly string[],
  { timeoutMs = TIMEOUT_MS, input = "" }: ProgramOptions = {},
): Promise<string> {
  const command = [program, ...args].join(" ");
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "pipe", env: environment });
    let stdout = "";
    let stderr = "";
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      child.stdin.destroy();
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      reject(new ProgramError(command, undefined, `it was killed after ${timeoutMs} ms`, stdout));
    }, timeoutMs);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      if (stdout.length > MAX_OUTPUT) child.kill("SIGKILL");
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-MAX_ERROR);
    });
    // A program that does not read what it is given says by its code how it went.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    child.once("error", (cause) => {
      clearTimeout(timer);
      reject(new ProgramError(command, undefined, cause.message, stdout, { cause }));
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(stdout);
      else reject(new ProgramError(command, code ?? undefined, stderr.trim(), stdout));
    });
  });
}
