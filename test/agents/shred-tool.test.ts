import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DiskRate } from "../../agents/storage/disk-rate.js";
import { zeroRange } from "../../agents/storage/zero-range.js";
import { systemClock } from "../../shared/clock.js";
import { tempFolder } from "./temp-folder.js";
import { until } from "./until.js";

const BYTES = 3 * 1024 * 1024;

/** Zeroes a file that is full of sevens. @returns whether all of it is zero. */
async function zeroFile(kind: "file" | "block", record: (pid: number) => Promise<void>): Promise<boolean> {
  const disk = await open(join(tempFolder(), "disk"), "w+");
  onTestFinished(() => disk.close());
  await disk.write(Buffer.alloc(BYTES, 7));
  const rate = new DiskRate({ bytesPerSecond: 0, clock: systemClock });
  const { signal } = new AbortController();
  await zeroRange({ disk, kind, start: 0, end: BYTES, rate, signal, record, progress: () => undefined });
  const { buffer } = await disk.read(Buffer.alloc(BYTES + 1), 0, BYTES + 1, 0);
  return buffer.equals(Buffer.alloc(BYTES + 1));
}

const nobody = async (): Promise<void> => undefined;

/** Only these programs are there. */
function only(...programs: readonly string[]): void {
  const { PATH } = process.env;
  const folder = tempFolder();
  for (const name of programs)
    symlinkSync(execFileSync("which", [name]).toString().trim(), join(folder, name));
  process.env.PATH = folder;
  onTestFinished(() => {
    process.env.PATH = PATH;
  });
}

test("a tool gives way to everything else: it is idle for the disk and last for the processor", async () => {
  const seen: string[] = [];
  const isZero = await zeroFile("file", async (pid) => {
    // Nice value: field 19, of which the first two hold no blank here.
    await until(() => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[18] === "19");
    seen.push(
      execFileSync("ionice", ["-p", `${pid}`])
        .toString()
        .trim(),
    );
  });
  expect([isZero, seen]).toEqual([true, ["idle"]]);
});

test("without programs for that, zeros are made all the same", async () => {
  only("fallocate");
  expect(await zeroFile("file", nobody)).toBe(true);
});

test.each([
  ["a tool that writes, where holes can't be made", ["dd"]],
  ["the agent itself, where there is no tool at all", []],
] as const)("zeros are written by %s", async (_by, programs) => {
  only(...programs);
  for (const kind of ["file", "block"] as const) expect(await zeroFile(kind, nobody)).toBe(true);
});
