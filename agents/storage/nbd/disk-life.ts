import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
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
