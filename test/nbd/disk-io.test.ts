import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, it } from "vitest";
import { DiskIo } from "../../agents/storage/nbd/disk-io.js";

const folder = mkdtempSync(join(tmpdir(), "vas-disk-io-"));
const path = join(folder, "disk");
const { PATH } = process.env;
afterEach(() => {
  process.env.PATH = PATH;
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

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

it("makes zeros of a long range by many runs of a program, none of which does much, and of all of it", () => {
  const MIB = 1024 * 1024;
  writeFileSync(path, "");
  truncateSync(path, 700 * MIB);
  const tools = join(folder, "tools");
  const log = join(folder, "runs");
  mkdirSync(tools);
  writeFileSync(join(tools, "fallocate"), `#!/bin/sh\necho "$@" >> ${log}\n`, { mode: 0o755 });
  process.env.PATH = `${tools}:${PATH}`;
  const disk = new DiskIo(path, 700 * MIB);
  expect(disk.zero({ offset: 8 * MIB, length: 600 * MIB }, false, false)).toBe(0);
  disk.close();
  const runs = readFileSync(log, "utf8").trim().split("\n");
  const pieces = runs.map((run) => {
    const [, offset, length] = /--offset (\d+) --length (\d+)/.exec(run) ?? [];
    return { offset: Number(offset) / MIB, length: Number(length) / MIB };
  });
  expect(pieces).toEqual([
    { offset: 8, length: 256 },
    { offset: 264, length: 256 },
    { offset: 520, length: 88 },
  ]);
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}
