import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  adoptDetached,
  kill9AndWait,
  startDetached,
  terminate,
} from "../../agents/common/detached-process.js";
import { findByArguments, isAlive, recordProcess } from "../../agents/common/process-record.js";
import { tempFolder } from "./temp-folder.js";

const entry = join(import.meta.dirname, "fixtures", "wait-forever.mjs");
const DEADLINE_MS = 10_000;

async function start(args: readonly string[] = []) {
  const folder = tempFolder();
  const started = await startDetached({
    entry,
    args: [folder, ...args],
    logFile: join(folder, "log"),
    what: "a test",
  });
  onTestFinished(() => kill9AndWait(started.record, DEADLINE_MS));
  return { ...started, folder };
}

test("a process is found again by its record, in a session of its own, until it is killed", async () => {
  const { record, exited } = await start(["stubborn"]);
  expect(isAlive(record)).toBe(true);
  const adopted = adoptDetached(record);
  await kill9AndWait(record, DEADLINE_MS);
  expect(isAlive(record)).toBe(false);
  expect(await exited).toBeUndefined();
  expect(await adopted.exited).toBeUndefined();
});

test("a process is found by its arguments when there was no time to record it", async () => {
  const { record, folder } = await start();
  expect(findByArguments([entry, folder], "a test")).toEqual(record);
  expect(findByArguments([entry, `${folder}x`], "a test")).toBeUndefined();
});

test("a process that has the pid of another one is not mistaken for it, nor killed", async () => {
  const { record } = await start();
  for (const other of [
    { ...record, startTime: record.startTime - 1 },
    { ...record, machineBoot: "another boot" },
  ]) {
    expect(isAlive(other)).toBe(false);
    await kill9AndWait(other, DEADLINE_MS);
    terminate(other);
  }
  expect(isAlive(record)).toBe(true);
});

test("the exit code of an own child is told, and a dead pid has no record", async () => {
  const { record, exited } = await start();
  terminate(record);
  await exited;
  expect(recordProcess(record.pid, "gone")).toBeUndefined();
});
