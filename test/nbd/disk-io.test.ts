import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { DiskIo } from "../../agents/storage/nbd/disk-io.js";

const folder = mkdtempSync(join(tmpdir(), "vas-disk-io-"));
const path = join(folder, "disk");
afterEach(() => rmSync(folder, { recursive: true }));

const EIO = 5;

it("answers EIO to everything after a failed fdatasync, even when the disk is well again", () => {
  writeFileSync(path, Buffer.alloc(8192, 1));
  const disk = new DiskIo(path, 8192);
  expect(disk.write(0, [Buffer.from("ab"), Buffer.from("cd")], true)).toBe(0);
  expect(disk.read(0, 4).toString()).toBe("abcd");
  // Its descriptor is taken away, so that fdatasync fails, and given back.
  const fd = Number(readdirSync("/proc/self/fd").find((name) => linkOf(name) === path));
  closeSync(fd);
  expect(disk.flush()).toBe(EIO);
  expect(openSync(path, "r+")).toBe(fd);
  expect(disk.broken).toBe(true);
  expect(disk.flush()).toBe(EIO);
  expect(disk.read(0, 4)).toBe(EIO);
  expect(disk.write(0, [Buffer.from("x")], false)).toBe(EIO);
  expect(disk.zero({ offset: 0, length: 1 }, false, false)).toBe(EIO);
  disk.close();
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}
