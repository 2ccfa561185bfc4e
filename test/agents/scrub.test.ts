import { existsSync, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { writeLabel } from "../../agents/storage/disk-label.js";
import { DiskRate } from "../../agents/storage/disk-rate.js";
import { DiskReadError, DiskReader } from "../../agents/storage/disk-reader.js";
import { DiskReaders } from "../../agents/storage/disk-readers.js";
import { type ScrubbedDisk, Scrubber } from "../../agents/storage/scrub.js";
import { scrubPass } from "../../agents/storage/scrub-pass.js";
import { ScrubRecords } from "../../agents/storage/scrub-records.js";
import { nextPass } from "../../agents/storage/scrub-schedule.js";
import { systemClock } from "../../shared/clock.js";
import { VasError } from "../../shared/errors.js";
import { createLog } from "../../shared/log.js";
import { EXTENT_UNIT_BYTES, MIB } from "../../shared/units.js";
import { waitUntil } from "../harness/wait-until.js";
import { tempFolder } from "./temp-folder.js";

const GOING_ON = new AbortController().signal;
const log = createLog("test", "json", "fatal");

/** A disk whose reads are written down. @param broken places that can't be read */
function diskWith(gigabytes: number, broken: (from: number, end: number) => boolean) {
  const reads: { readonly from: number; readonly length: number }[] = [];
  const disk = { pdskid: 1, index: 0, path: "/disk", bytes: gigabytes * EXTENT_UNIT_BYTES + MIB };
  const read = async (from: number, length: number): Promise<string> => {
    reads.push({ from, length });
    if (broken(from, from + length)) throw new DiskReadError("EIO", "i/o error");
    return "";
  };
  return { reads, reader: { disk, read } };
}

/** A rate on a clock that only its own waits move. */
function rateOf(bytesPerSecond: number) {
  const clock = { now: 0, monotonic: () => clock.now };
  const sleep = async (ms: number): Promise<void> => {
    clock.now += ms;
  };
  return { clock, rate: new DiskRate({ bytesPerSecond, clock, sleep }) };
}

async function passOver({ reader }: ReturnType<typeof diskWith>, from = 0, bytesPerSecond = 0) {
  const { rate, clock } = rateOf(bytesPerSecond);
  const bad: (readonly [number, number])[] = [];
  await scrubPass({
    reader,
    rate,
    from,
    signal: GOING_ON,
    onPosition: async () => undefined,
    onBadBlock: async (block, place) => void bad.push([block, place]),
  });
  await rate.take(0, GOING_ON);
  return { bad, ms: clock.now };
}

test("a pass reads all that extents can be on, at its rate", async () => {
  const disk = diskWith(2, () => false);
  expect(await passOver(disk, 0, 10 * MIB)).toEqual({ bad: [], ms: 205_000 });
  let at = 0;
  for (const { from, length } of disk.reads) {
    expect(from).toBe(at);
    at += length;
  }
  expect(at).toBe(2 * EXTENT_UNIT_BYTES);
});

test("an unreadable place is pinned down, its block told of, and the next blocks are read", async () => {
  const place = EXTENT_UNIT_BYTES + 333 * MIB + 5 * 4096;
  const disk = diskWith(3, (from, end) => from <= place && place < end);
  expect((await passOver(disk)).bad).toEqual([[1, place]]);
  expect(disk.reads.at(-1)).toEqual({ from: 3 * EXTENT_UNIT_BYTES - MIB, length: MIB });
});

test("what can be read at the second attempt is no bad block", async () => {
  let failures = 1;
  const disk = diskWith(1, (from) => from === 8 * MIB && failures-- > 0);
  expect((await passOver(disk)).bad).toEqual([]);
});

test("a disk that nothing can be read of has no bad blocks: the pass stops", async () => {
  const disk = diskWith(3, () => true);
  await expect(passOver(disk)).rejects.toMatchObject({
    name: "DiskUnreadableError",
    message: expect.stringContaining("notifyFailure"),
  });
});

test("the passes of a server's disks begin spread over the interval, each disk's an interval apart", () => {
  const week = 604_800_000;
  const now = Date.UTC(2030, 0, 1);
  const starts = Array.from({ length: 20 }, (_, index) => nextPass(index + 1, now, week) - now);
  const sorted = [...starts].sort((a, b) => a - b);
  const gaps = sorted.map((start, index) => start - (sorted[index - 1] ?? (sorted.at(-1) ?? 0) - week));
  expect(Math.min(...gaps)).toBeGreaterThan(week / 20 / 3);
  for (const start of starts) expect(start).toBeGreaterThan(0);
  expect(nextPass(7, nextPass(7, now, week), week) - nextPass(7, now, week)).toBeCloseTo(week, -1);
});

interface Rig {
  readonly folder: string;
  readonly disk: ScrubbedDisk;
  readonly report?: (blocks: readonly number[]) => Promise<void>;
}

/** A scrubber whose next pass is always due. */
async function scrubberOf({ folder, disk, report = async () => undefined }: Rig) {
  const scrubber = new Scrubber({
    disks: () => [disk],
    records: await ScrubRecords.open(join(folder, "scrubs"), log),
    report: (_pdskid, blocks) => report(blocks),
    intervalMs: 1,
    clock: systemClock,
    log,
  });
  onTestFinished(() => scrubber.stop());
  return scrubber;
}

test("a pass that was interrupted goes on where it was, after a restart too", async () => {
  const folder = tempFolder();
  const { rate } = rateOf(0);
  const first = diskWith(1, () => false);
  const signal = new AbortController();
  const held = async (from: number, length: number): Promise<string> => {
    if (from < 100 * MIB) return first.reader.read(from, length);
    signal.abort();
    throw new VasError("EAGAIN", "the process that reads pdsk-00000001 ended");
  };
  const scrubber = await scrubberOf({ folder, disk: { reader: { ...first.reader, read: held }, rate } });
  await waitUntil("the pass got so far", () => signal.signal.aborted);
  await scrubber.stop();

  const second = diskWith(1, () => false);
  const again = await scrubberOf({ folder, disk: { reader: second.reader, rate } });
  await waitUntil("the pass goes on", () => second.reads.length > 0);
  await again.stop();
  expect(second.reads[0]).toEqual({ from: 100 * MIB, length: 4 * MIB });
});

test("bad blocks are told until the manager has taken it, after a restart too", async () => {
  const folder = tempFolder();
  const { rate } = rateOf(0);
  const { reader } = diskWith(2, (from, end) => from <= 7 * MIB && 7 * MIB < end);
  let refusals = 0;
  const refuse = async (): Promise<void> => {
    refusals += 1;
    throw new VasError("EHOSTDOWN", "the manager does not answer");
  };
  const scrubber = await scrubberOf({ folder, disk: { reader, rate }, report: refuse });
  await waitUntil("it was tried more than once", () => refusals > 1);
  await scrubber.stop();

  const told: (readonly number[])[] = [];
  const again = await scrubberOf({
    folder,
    disk: { reader: diskWith(2, () => false).reader, rate },
    report: async (blocks) => void told.push(blocks),
  });
  await waitUntil("the manager was told", () => told.length > 0);
  await again.stop();
  expect(told).toEqual([[0]]);
});

async function labelledDisk() {
  const path = join(tempFolder(), "disk");
  const bytes = EXTENT_UNIT_BYTES + 2 * MIB;
  const handle = await open(path, "w+");
  await handle.truncate(bytes);
  await writeLabel(handle, { cluster: "c", pdskid: 1, bytes });
  await handle.close();
  return { pdskid: 1, index: 0, path, bytes };
}

function readersOf(disk: Awaited<ReturnType<typeof labelledDisk>>, cluster: string): DiskReaders {
  const entry = fileURLToPath(new URL("../../dist/agents/storage/disk-reader-main.js", import.meta.url));
  const clock = systemClock;
  const readers = new DiskReaders({
    served: () => [disk],
    cluster: () => cluster,
    entry,
    bytesPerSecond: 0,
    clock,
  });
  onTestFinished(() => readers.end());
  return readers;
}

/** The process that reads, a child of ours. */
function readerOf(parent: number): number {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8")
    .trim()
    .split(" ")
    .map(Number);
  const found = children.find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("disk-reader-main"),
  );
  if (found === undefined) throw new Error("nobody reads the disk");
  return found;
}

test("the process that reads answers with a checksum of what is on the disk, and is made again when it was killed", async () => {
  const disk = await labelledDisk();
  const readers = readersOf(disk, "c");
  const reader = readers.of(1)?.reader;
  // sha256sum of 16 MiB of zeros.
  const zeros = "080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e";
  expect(await reader?.read(16 * MIB, 16 * MIB)).toBe(zeros);
  const handle = await open(disk.path, "r+");
  onTestFinished(() => handle.close());
  await handle.write(Buffer.from([1]), 0, 1, 20 * MIB);
  expect(await reader?.read(16 * MIB, 16 * MIB)).not.toBe(zeros);
  const pid = readerOf(process.pid);
  process.kill(pid, "SIGKILL");
  await waitUntil("it is gone", () => !existsSync(`/proc/${pid}`));
  expect(await reader?.read(32 * MIB, 16 * MIB)).toBe(zeros);
});

test("reads of a disk that hangs, and those that are queued behind them, end with the reader", async () => {
  const entry = fileURLToPath(new URL("fixtures/wait-forever.mjs", import.meta.url));
  const reader = new DiskReader({ disk: await labelledDisk(), cluster: "c", entry });
  const reads = [reader.read(0, MIB), reader.read(MIB, MIB), reader.read(2 * MIB, MIB)];
  const ended = Promise.all(reads.map((read) => expect(read).rejects.toMatchObject({ errno: "EAGAIN" })));
  // The first one is under way then.
  await new Promise((resolve) => setImmediate(resolve));
  reader.end();
  await ended;
  await expect(reader.read(0, MIB)).rejects.toMatchObject({ errno: "EAGAIN" });
});

test("a disk that is not the one that it was is not read", async () => {
  const disk = await labelledDisk();
  await expect(readersOf(disk, "another").of(1)?.reader.read(0, MIB)).rejects.toMatchObject({
    code: "EAGAIN",
    message: expect.stringContaining("is not pdsk-00000001 any more"),
  });
});
