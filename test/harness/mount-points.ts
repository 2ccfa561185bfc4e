import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const PREFIX = "vas.mount-";
let made = 0;

/**
 * A folder to mount a file system on, or to keep files of one in, which is unmounted and removed when the test ends. It carries the test process's
 * pid in its name, so that a later one finds what a killed one left.
 */
export function makeMountPoint(): string {
  sweepMountPoints();
  made += 1;
  const folder = join(tmpdir(), `${PREFIX}${process.pid}-${made}`);
  mkdirSync(folder);
  onTestFinished(() => removeMountPoint(folder));
  return folder;
}

function removeMountPoint(folder: string): void {
  try {
    execFileSync("umount", ["--lazy", folder], { stdio: "ignore" });
  } catch {
    // Nothing is mounted there.
  }
  rmSync(folder, { recursive: true, force: true });
}

function sweepMountPoints(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const [pid = ""] = name.slice(PREFIX.length).split("-");
    if (!existsSync(`/proc/${pid}`)) removeMountPoint(join(tmpdir(), name));
  }
}
