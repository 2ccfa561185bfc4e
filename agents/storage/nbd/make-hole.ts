import { spawnSync } from "node:child_process";
import type { Bytes, Milliseconds } from "../../../shared/units.js";

export type TargetKind = "file" | "block";

/**
 * From this length on a program is started to make zeros, since Node can't call fallocate itself. Starting one took 3 to
 * 6 ms; 8 MiB of zeros took 0.7 ms into the page cache, then as many bytes of a disk's time, and no room comes back.
 */
export const ZERO_BY_PROGRAM_BYTES: Bytes = 8 * 1024 * 1024;
/** Block devices are zeroed in whole units of this size. */
const DEVICE_UNIT_BYTES: Bytes = 4096;
/** One run of a program zeroes at most this much, so that a range of any length is many runs, each with an end in sight. */
export const MAX_HOLE_BYTES: Bytes = 256 * 1024 * 1024;
const TIMEOUT_MS: Milliseconds = 10_000;

/**
 * Makes a range of an open file or device, of at most `MAX_HOLE_BYTES`, read as zeros without writing them. The program is
 * of our process group, and dies with us when all of that is killed.
 *
 * @param allocated its room on the disk is kept
 * @returns false if that could not be done: then nothing is known of the range, and zeros have to be written
 */
export function makeHole(
  fd: number,
  kind: TargetKind,
  range: { readonly offset: Bytes; readonly length: Bytes },
  allocated: boolean,
): boolean {
  if (
    kind === "block" &&
    (range.offset % DEVICE_UNIT_BYTES !== 0 || range.length % DEVICE_UNIT_BYTES !== 0)
  ) {
    return false;
  }
  const place = ["--offset", String(range.offset), "--length", String(range.length)];
  const hole = allocated ? "--zero-range" : "--punch-hole";
  // By descriptor: behind the path there may be another file by now. --keep-size, so that nothing grows.
  const [program, args] =
    kind === "file"
      ? ["fallocate", [hole, "--keep-size", ...place, "/proc/self/fd/3"]]
      : ["blkdiscard", ["--zeroout", ...place, "/proc/self/fd/3"]];
  const { status } = spawnSync(program, args, {
    stdio: ["ignore", "ignore", "ignore", fd],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  return status === 0;
}
