import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DiskRate } from "../../agents/storage/disk-rate.js";
import { zeroRange } from "../../agents/storage/zero-range.js";
import { verifyZero } from "../../agents/storage/zero-verify.js";
import { GIB, MIB } from "../../shared/units.js";
import { tempFolder } from "./temp-folder.js";

const GOING_ON = new AbortController().signal;

/** A rate on a clock that only its own waits move. */
function rateOf(bytesPerSecond: number) {
  const clock = { now: 0, monotonic: () => clock.now };
  const waits: number[] = [];
  const sleep = async (ms: number): Promise<void> => {
    waits.push(ms);
    clock.now += ms;
  };
  return { clock, waits, rate: new DiskRate({ bytesPerSecond, clock, sleep }) };
}

async function openSparse(bytes: number) {
  const disk = await open(join(tempFolder(), "disk"), "w+");
  onTestFinished(() => disk.close());
  await disk.truncate(bytes);
  return disk;
}

test("what was taken is paid for before the next step, and a long rest gains no burst", async () => {
  const { clock, waits, rate } = rateOf(10 * MIB);
  await rate.take(20 * MIB, GOING_ON);
  expect(waits).toEqual([]);
  await rate.take(5 * MIB, GOING_ON);
  expect(waits).toEqual([2000]);
  clock.now += 3_600_000;
  await rate.take(10 * MIB, GOING_ON);
  await rate.take(10 * MIB, GOING_ON);
  expect(waits).toEqual([2000, 1000]);
});

test("without a limit nothing is waited for, and steps are as large as they may be", async () => {
  const { waits, rate } = rateOf(0);
  for (let step = 0; step < 3; step += 1) await rate.take(100 * GIB, GOING_ON);
  expect([waits, rate.step(4 * GIB)]).toEqual([[], 4 * GIB]);
});

test("a step is a second's worth at most, and a MiB at least", () => {
  const { rate } = rateOf(5 * MIB + 1);
  expect([rate.step(64 * MIB), rate.step(2 * MIB)]).toEqual([5 * MIB, 2 * MIB]);
  expect(rateOf(1000).rate.step(64 * MIB)).toBe(MIB);
});

test("a stop ends the wait for the next step", async () => {
  const stopping = new AbortController();
  const rate = new DiskRate({ bytesPerSecond: 1, clock: { monotonic: () => 0 } });
  await rate.take(MIB, stopping.signal);
  const waiting = rate.take(MIB, stopping.signal);
  stopping.abort(new Error("the agent stops"));
  await expect(waiting).rejects.toThrow("the agent stops");
});

test("holes cost a MiB for each GiB of the rate, written zeros cost what they are", async () => {
  const disk = await openSparse(8 * GIB);
  const zero = async (kind: "file" | "block", end: number) => {
    const { clock, rate } = rateOf(MIB);
    const record = async (): Promise<void> => undefined;
    const options = { disk, kind, start: 0, end, rate, signal: GOING_ON, record, progress: () => undefined };
    await zeroRange(options);
    // The last step is not waited for any more: this shows what it cost.
    await rate.take(0, GOING_ON);
    return clock.now;
  };
  expect(await zero("file", 8 * GIB)).toBe(8_000);
  // As a device this file takes no command, which costs a step, so the zeros are written.
  expect(await zero("block", 8 * MIB)).toBe(9_000);
});

test("a read-back costs what is read, and finds the first byte that is not zero", async () => {
  const disk = await openSparse(64 * MIB);
  const verify = async () => {
    const { clock, rate } = rateOf(8 * MIB);
    await verifyZero({ disk, start: MIB, end: 33 * MIB, rate, signal: GOING_ON });
    await rate.take(0, GOING_ON);
    return clock.now;
  };
  expect(await verify()).toBe(4_000);
  await disk.write(Buffer.from([1]), 0, 1, MIB - 1);
  await disk.write(Buffer.from([1]), 0, 1, 33 * MIB);
  expect(await verify()).toBe(4_000);
  await disk.write(Buffer.from([1]), 0, 1, 33 * MIB - 1);
  await disk.write(Buffer.from([1]), 0, 1, 20 * MIB + 777);
  await expect(verify()).rejects.toMatchObject({
    errno: "EIO",
    message: expect.stringContaining(`byte ${20 * MIB + 777} `),
  });
});

test("a read-back beyond the end of the disk fails", async () => {
  const disk = await openSparse(8 * MIB);
  const { rate } = rateOf(0);
  await expect(verifyZero({ disk, start: 0, end: 9 * MIB, rate, signal: GOING_ON })).rejects.toMatchObject({
    errno: "EIO",
  });
});
