import { spawn } from "node:child_process";
import type { FileHandle } from "node:fs/promises";
import { type Bytes, MIB, type Milliseconds } from "../../shared/units.js";
import type { DiskRate } from "./disk-rate.js";
import { zeroTools } from "./zero-tools.js";

export interface ZeroRangeOptions {
  readonly disk: FileHandle;
  readonly kind: "file" | "block";
  readonly start: Bytes;
  readonly end: Bytes;
  readonly rate: DiskRate;
  /** Ends the work; a running tool is killed. */
  readonly signal: AbortSignal;
  /** Told of each tool before it may begin; when this returns, the tool will be found again if we die. */
  readonly record: (pid: number) => Promise<void>;
  /** Told after each piece: the part of the range that is done, 0 to 1. */
  readonly progress: (part: number) => void;
}

/**
 * A tool ran into its deadline or was killed. That says nothing of the disk: of idle priority, it gives way to all other
 * I/O of the disk, for minutes if there is so much of it.
 */
export class ToolStoppedError extends Error {
  override readonly name = "ToolStoppedError";
}

/** For one piece. */
const PIECE_MS: Milliseconds = 300_000;

/**
 * The shell becomes the tool when it is told to. If we die before that, it reads the end of its input, and ends. Zeroing
 * gives way to users: idle for the disk and last for the processor, where there are the programs to say so.
 */
const LAUNCHER = 'ionice -c 3 -p $$; renice -n 19 -p $$; read -r word && exec "$@"';

/**
 * Makes a range of a disk read as zeros: holes in files, zeros by command in devices, written zeros where neither works.
 * It is not durable before the caller's fdatasync.
 *
 * @throws ToolStoppedError, the signal's reason, or the error of the write that failed
 */
export async function zeroRange(options: ZeroRangeOptions): Promise<void> {
  const { disk, kind, start, end, rate, signal, progress } = options;
  const tools = [...zeroTools[kind]];
  for (let from = start; from < end; ) {
    const [tool] = tools;
    const { piece, share } = tool ?? OWN_WRITES;
    const length = Math.min(rate.step(piece * share) / share, end - from);
    await rate.take(length * share, signal);
    if (tool !== undefined && !(await runTool(options, tool.argv(from, length)))) {
      tools.shift();
      continue;
    }
    // Last of all by ourselves: it may be that no tool works here, and if it is the disk, this finds out what is wrong.
    if (tool === undefined) await writeZeros(disk, from, length);
    from += length;
    progress((from - start) / (end - start));
  }
}

/** @returns false if the tool is not there or can't do it here */
async function runTool(
  { disk, signal, record }: ZeroRangeOptions,
  argv: readonly string[],
): Promise<boolean> {
  const child = spawn("/bin/sh", ["-c", LAUNCHER, "sh", ...argv], {
    stdio: ["pipe", "ignore", "ignore", disk.fd],
    detached: true,
  });
  // Not before the process is dead: until then it may write.
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  exited.catch(() => undefined);
  const kill = (): void => void child.kill("SIGKILL");
  const deadline = setTimeout(kill, PIECE_MS);
  signal.addEventListener("abort", kill);
  try {
    child.stdin?.on("error", () => undefined);
    if (child.pid !== undefined) await record(child.pid);
    if (!signal.aborted) child.stdin?.end("go\n");
    const code = await exited;
    signal.throwIfAborted();
    if (code !== null) return code === 0;
    throw new ToolStoppedError(`${argv[0]} was killed, or took more than ${PIECE_MS} ms: is the disk busy?`);
  } catch (error) {
    kill();
    await exited.catch(() => undefined);
    if ((error as NodeJS.ErrnoException).code === "ENOENT" && child.pid === undefined) return false;
    throw error;
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener("abort", kill);
  }
}

const ZEROS = Buffer.alloc(MIB);
const OWN_WRITES = { piece: MIB, share: 1 } as const;

async function writeZeros(disk: FileHandle, offset: Bytes, length: Bytes): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesWritten } = await disk.write(ZEROS, 0, Math.min(MIB, length - done), offset + done);
    done += bytesWritten;
  }
}
