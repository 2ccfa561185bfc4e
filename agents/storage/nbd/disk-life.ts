import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { constants, openSync, readFileSync, readSync, renameSync, writeFileSync, writeSync } from "node:fs";
import type { Milliseconds } from "../../../shared/units.js";

/** Exit code of an export process whose disk failed a write or a flush. */
export const DISK_FAILED = 4;
/** The same, but that was for want of room, as below a thin or sparse disk: no fault of the disk's own. */
export const DISK_FULL = 5;

const TOOL_MS: Milliseconds = 10_000;

/**
 * What a disk's export tells its users of the life in which it serves: it changes with each boot of the server, and with
 * each failed write or flush, because what was written before and not flushed may be lost then (rule R5).
 *
 * @param file where `endLife` left its mark, if it did
 */
export function lifeOf(bootId: string, file: string): string {
  try {
    return `boot=${bootId}/${readFileSync(file, "utf8")}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return `boot=${bootId}`;
    throw error;
  }
}

/** The next process to serve the disk begins another life. It need not outlast the machine: a boot begins one, too. */
export function endLife(file: string): void {
  const next = `${file}.next`;
  writeFileSync(next, randomUUID());
  renameSync(next, file);
}

/** A flush that was under way for longer than this when its process died may have failed unheard. */
const UNHEARD_MS: Milliseconds = 2000;
const CLEAR = Buffer.alloc(8);

/**
 * Says of an export process that died how long it had waited for the kernel to make something durable. A disk that hangs in
 * there and fails in the end tells that to the dead process alone, and whoever opens the disk next hears nothing of it: that
 * something may be lost can only be told by another life.
 *
 * A process that was killed within a moment of asking is taken for just that: disks take longer to fail, and an export that
 * hangs is not ended before it had time to answer. Else each kill would cost a mirror with one good copy that copy.
 */
export class SyncMark {
  readonly #file: number;
  /** The time since boot in milliseconds, or 0, as a double. */
  readonly #now = Buffer.alloc(CLEAR.length);

  /** @throws Error if the file can't be made: it needs no room after that */
  constructor(
    file: string,
    private readonly sinceBoot: () => Milliseconds = millisecondsSinceBoot,
  ) {
    this.#file = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  /** Whether the process before us died with a failure that nobody heard of, perhaps. */
  wasUnheard(): boolean {
    if (readSync(this.#file, this.#now, 0, CLEAR.length, 0) < CLEAR.length) return false;
    const since = this.#now.readDoubleLE();
    const age = this.sinceBoot() - since;
    return since !== 0 && !(age >= 0 && age < UNHEARD_MS);
  }

  set(): void {
    this.#now.writeDoubleLE(this.sinceBoot());
    this.#write(this.#now);
  }

  clear(): void {
    this.#write(CLEAR);
  }

  /** Kept by the kernel when we die; it need not outlast the machine. */
  #write(bytes: Buffer): void {
    try {
      writeSync(this.#file, bytes, 0, CLEAR.length, 0);
    } catch {
      // The disk of the state is broken as well. That is no reason not to serve this one.
    }
  }
}

const millisecondsSinceBoot = (): Milliseconds => Number(process.hrtime.bigint() / 1_000_000n);

/**
 * Takes what the page cache has of a disk out of it. After a failed write-back the kernel keeps the new content there as if it
 * were on the disk: a recovery or a resync would copy, or pass over, what is not there once the page is gone.
 *
 * @throws Error if the tool (coreutils) can't do it: the disk is not served then
 */
export function forgetCache(path: string): void {
  execFileSync("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"], {
    timeout: TOOL_MS,
    stdio: "ignore",
  });
}
