import { execFileSync } from "node:child_process";
import { onTestFinished } from "vitest";
import { requireRoot } from "./require-root.js";

/** A block device, with a page cache of its own, over a file; it is gone when the test ends. @returns its path */
export function makeLoopDevice(file: string): string {
  requireRoot("a loop device");
  const device = execFileSync("losetup", ["--find", "--show", file], { encoding: "utf8" }).trim();
  onTestFinished(() => void execFileSync("losetup", ["--detach", device]));
  return device;
}
