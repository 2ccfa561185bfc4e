import { describeError, VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";

/** What a disk, its driver or its cable answers with; nothing else counts against the disk. */
const DISK_ERRORS = new Set([
  "EIO",
  "ENXIO",
  "ENODEV",
  "EREMOTEIO",
  "ENODATA",
  "EILSEQ",
  "EBADMSG",
  "ETIMEDOUT",
]);
/** A sparse disk file has no room to grow in: its file system is full, which is no fault of a disk. */
const FULL_ERRORS = new Set(["ENOSPC", "EDQUOT"]);

/**
 * What a failed shred tells: EIO if it is the disk that failed, which counts against it; ENOSPC if zeros had to be written
 * and there was no room; EAGAIN for all else, as when the agent stops, a tool was killed, or its own state can't be written.
 */
export function shredError(pdskid: number, cause: unknown): VasError {
  if (cause instanceof VasError) return cause;
  const sentence = `shredding ${showDisk(pdskid)} failed: ${describeError(cause)}`;
  if (isDiskError(cause)) return new VasError("EIO", sentence, { cause });
  if (codesOf(cause).some((code) => FULL_ERRORS.has(code)))
    return new VasError("ENOSPC", sentence, { cause });
  return new VasError("EAGAIN", sentence, { cause });
}

/** Whether it is what a disk answers when it can't do something, as opposed to anything else that went wrong. */
export function isDiskError(error: unknown): boolean {
  return codesOf(error).some((code) => DISK_ERRORS.has(code));
}

/** Does what a shred needs besides its disk, as writing down our own state: when that fails, it is not the disk's fault. */
export async function besidesDisk<T>(pdskid: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof VasError) throw cause;
    throw new VasError("EAGAIN", `shredding ${showDisk(pdskid)} failed: ${describeError(cause)}`, { cause });
  }
}

/** The errno names of an error and of what caused it. */
function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const { code } = error as NodeJS.ErrnoException;
  return [...(code === undefined ? [] : [code]), ...codesOf(error.cause)];
}
