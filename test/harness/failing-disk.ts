import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import type { Bytes } from "../../shared/units.js";
import { waitUntil } from "./wait-until.js";

/** A disk file that can be told to fail: nbdkit with its error filter, as a file by nbdfuse. Needs root and /dev/fuse. */
export interface FailingDisk {
  /** From now on everything that changes the disk answers EIO; it can still be read. */
  fail(): void;
}

/** @param path where the disk is to be found; made as a link before the server that uses it is started. */
export async function failingDisk(path: string, bytes: Bytes): Promise<FailingDisk> {
  const folder = mkdtempSync(join(tmpdir(), "vas-failing-"));
  const backing = join(folder, "backing");
  const mount = join(folder, "mount");
  const trigger = join(folder, "trigger");
  writeFileSync(backing, "");
  truncateSync(backing, bytes);
  mkdirSync(mount);
  const rates = ["error-pwrite-rate=100%", "error-zero-rate=100%", "error-trim-rate=100%"];
  const nbdkit = ["nbdkit", "--exit-with-parent", "--filter=error", "file", backing];
  const server = [...nbdkit, "error=EIO", ...rates, `error-file=${trigger}`];
  const file = join(mount, "disk");
  // However the test ends: told to end, nbdfuse takes its mount away.
  const program = ["--pdeathsig", "TERM", "nbdfuse", file, "[", ...server, "]"];
  const process = spawn("setpriv", program, { stdio: "ignore" });
  onTestFinished(async () => {
    await end(process);
    rmSync(folder, { recursive: true, force: true });
  });
  await waitUntil(
    "nbdfuse serves the disk (nbdkit, libnbd-bin)",
    () => statSync(file).size === bytes,
    120_000,
  );
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(file, path);
  return { fail: () => writeFileSync(trigger, "") };
}

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null) return;
  await new Promise((resolve) => {
    process.once("exit", resolve);
    process.kill("SIGTERM");
  });
}
