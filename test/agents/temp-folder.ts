import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder that lives as long as the test that is running. */
export function tempFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "vas-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
