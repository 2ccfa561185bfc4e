import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DiskIo } from "../../agents/storage/nbd/disk-io.js";
import { MIB } from "../../shared/units.js";
import { makeLoopDevice } from "../harness/loop-device.js";

const LENGTH = 4096;

test("a read past the page cache finds what the disk has become, where the cache has what was written", () => {
  const folder = mkdtempSync(join(tmpdir(), "vas-past-cache-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  // A block device whose content can change behind its page cache.
  const content = join(folder, "content");
  writeFileSync(content, "");
  truncateSync(content, 16 * MIB);
  const device = makeLoopDevice(content);
  const disk = new DiskIo(device, 16 * MIB);
  onTestFinished(() => disk.close());

  const written = Buffer.alloc(LENGTH, "a");
  expect(disk.write(MIB, [written], true)).toBe(0);
  const read = (past: boolean): string => {
    const data = past ? disk.readPastCache(MIB, LENGTH) : disk.read(MIB, LENGTH);
    return typeof data === "number" ? `errno ${data}` : data.toString();
  };
  expect(read(false)).toBe(written.toString());
  expect(read(true)).toBe(written.toString());

  const file = openSync(content, "r+");
  writeSync(file, Buffer.from("b"), 0, 1, MIB + 5);
  closeSync(file);
  expect(read(false)).toBe(written.toString());
  expect(read(true)).toBe(`aaaaab${"a".repeat(LENGTH - 6)}`);
});
