import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { DiskRate } from "../../agents/storage/disk-rate.js";
import { zeroRange } from "../../agents/storage/zero-range.js";
import { ZeroingTools } from "../../agents/storage/zeroing-tools.js";
import { systemClock } from "../../shared/clock.js";
import { lives } from "./lives.js";
import { tempFolder } from "./temp-folder.js";
import { until } from "./until.js";

const BYTES = 65_536;
const RUNNING = new AbortController().signal;

async function openFull(): Promise<FileHandle> {
  const disk = await open(join(tempFolder(), "disk"), "w+");
  onTestFinished(() => disk.close());
  await disk.write(Buffer.alloc(BYTES, 7), 0, BYTES, 0);
  return disk;
}

async function firstByte(disk: FileHandle): Promise<number | undefined> {
  return (await disk.read(Buffer.alloc(1), 0, 1, 0)).buffer[0];
}

function range(disk: FileHandle, record: (pid: number) => Promise<void>) {
  return {
    disk,
    kind: "file" as const,
    start: 0,
    end: BYTES,
    rate: new DiskRate({ bytesPerSecond: 0, clock: systemClock }),
    signal: RUNNING,
    progress: () => undefined,
    record,
  };
}

test("a tool that an earlier life left at work is ended before its disk is used, and others are left alone", async () => {
  const folder = tempFolder();
  const children = [1, 2].map(() => spawn("sleep", ["1000"], { stdio: "ignore", detached: true }));
  const [left, other] = children.map(({ pid }) => pid ?? 0) as [number, number];
  onTestFinished(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  await (await ZeroingTools.open(folder)).record(1, left);
  const next = await ZeroingTools.open(folder);
  await next.endLeftOver(2);
  expect(lives(left)).toBe(true);
  await next.endLeftOver(1);
  expect(lives(left)).toBe(false);
  expect(lives(other)).toBe(true);
  await (await ZeroingTools.open(folder)).endLeftOvers(pino({ level: "silent" }));
  expect(lives(other)).toBe(true);
});

test("a tool does not begin before it is recorded", async () => {
  const disk = await openFull();
  const seen: unknown[] = [];
  await zeroRange(
    range(disk, async (pid) => {
      // Asleep in its `read`, and still the shell: it waits to be told.
      await until(() => /^\d+ \(sh\) S /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
      seen.push(lives(pid), await firstByte(disk));
    }),
  );
  expect(seen).toEqual([true, 7]);
  expect(await firstByte(disk)).toBe(0);
});

test("a tool that can't be recorded never begins, and is dead when that is told", async () => {
  const disk = await openFull();
  const pids: number[] = [];
  const refused = zeroRange(
    range(disk, async (pid) => {
      pids.push(pid);
      throw new Error("no room for the record");
    }),
  );
  await expect(refused).rejects.toThrow("no room");
  expect(pids.map(lives)).toEqual([false]);
  expect(await firstByte(disk)).toBe(7);
});
