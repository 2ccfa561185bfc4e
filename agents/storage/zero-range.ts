import { spawn } from "node:child_process";
import type { FileHandle } from "node:fs/promises";
import { type Bytes, GIB, MIB, type Milliseconds } from "../../shared/units.js";

export interface ZeroRangeOptions {
  readonly disk: FileHandle;
  readonly kind: "file" | "block";
  readonly start: Bytes;
  readonly end: Bytes;
  /** Ends the work; a running tool is killed. */
  readonly signal: AbortSignal;
  /** Told of each tool before it may begin; when this returns, the tool will be found again if we die. */
  readonly record: (pid: number) => Promise<void>;
  /** Told after each piece: the part of the range that is done, 0 to 1. */
  readonly progress: (part: number) => void;
}

/** A tool ran into its deadline or was killed: the disk hangs, and writing to it would too. */
export class ToolStoppedError extends Error {
  override readonly name = "ToolStoppedError";
}

/** One run of a tool does this much, so that progress is seen and a stop is not long in coming. */
const PIECE_BYTES: Bytes = 4 * GIB;
/** For one piece; a disk that writes less than 14 MB/s does not get through. */
const PIECE_MS: Milliseconds = 300_000;

/**
 * Makes a range of a disk read as zeros: holes in files, zeros by command in devices, written zeros where neither works.
 * It is not durable before the caller's fdatasync.
 *
 * @throws ToolStoppedError, the signal's reason, or the error of the write that failed
 */
export async function zeroRange(options: ZeroRangeOptions): Promise<void> {
  const { start, end, signal, progress } = options;
  let byTool = true;
  for (let from = start; from < end; from += PIECE_BYTES) {
    signal.throwIfAborted();
    const length = Math.min(PIECE_BYTES, end - from);
    byTool &&= await runTool(options, from, length);
    if (!byTool) await writeZeros(options.disk, from, length, signal);
    progress((from + length - start) / (end - start));
  }
}

/** @returns false if the tool is not there or can't do it here */
async function runTool(
  { disk, kind, signal, record }: ZeroRangeOptions,
  offset: Bytes,
  length: Bytes,
): Promise<boolean> {
  // The open file itself is handed over: its name could have come to mean another disk.
  const target = "/proc/self/fd/3";
  const range = ["--offset", String(offset), "--length", String(length), target];
  const tool =
    kind === "file"
      ? ["fallocate", "--punch-hole", ...range]
      : ["blkdiscard", "--zeroout", "--force", ...range];
  // The shell becomes the tool when it is told to. If we die before that, it reads the end of its input, and ends.
  const child = spawn("/bin/sh", ["-c", 'read -r word && exec "$@"', "sh", ...tool], {
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
    throw new ToolStoppedError(`${tool[0]} was stopped: ${length} bytes took more than ${PIECE_MS} ms`);
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

async function writeZeros(
  disk: FileHandle,
  offset: Bytes,
  length: Bytes,
  signal: AbortSignal,
): Promise<void> {
  const zeros = Buffer.alloc(MIB);
  let done = 0;
  while (done < length) {
    signal.throwIfAborted();
    const { bytesWritten } = await disk.write(zeros, 0, Math.min(zeros.length, length - done), offset + done);
    done += bytesWritten;
  }
}
