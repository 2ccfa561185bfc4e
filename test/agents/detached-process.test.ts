import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  adoptDetached,
  kill9AndWait,
  startDetached,
  terminate,
} from "../../agents/common/detached-process.js";
import { findByArguments, isAlive, isGroupAlive, recordProcess } from "../../agents/common/process-record.js";
import { lives } from "./lives.js";
import { tempFolder } from "./temp-folder.js";
import { until } from "./until.js";

const fixture = (name: string): string => join(import.meta.dirname, "fixtures", name);
const entry = fixture("wait-forever.mjs");
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

async function startWithTool() {
  const folder = tempFolder();
  const program = { entry: fixture("tool-starter.mjs"), args: [folder], logFile: join(folder, "log") };
  const { record } = await startDetached({ ...program, what: "a test" });
  onTestFinished(() => kill9AndWait(record, DEADLINE_MS));
  const readPid = (): number => {
    try {
      return Number(readFileSync(join(folder, "tool"), "utf8"));
    } catch {
      return 0;
    }
  };
  await until(() => readPid() > 0);
  return { record, tool: readPid() };
}

test("a process is killed with what it started", async () => {
  const { record, tool } = await startWithTool();
  expect(lives(tool)).toBe(true);
  await kill9AndWait(record, DEADLINE_MS);
  expect(lives(tool)).toBe(false);
});

test("a process that is dead is not gone while something that it started lives, and that can be killed", async () => {
  const { record, tool } = await startWithTool();
  process.kill(record.pid, "SIGKILL");
  await until(() => !isAlive(record));
  expect(isGroupAlive(record)).toBe(true);
  expect(isGroupAlive({ ...record, startTime: Number.MAX_SAFE_INTEGER })).toBe(false);
  await kill9AndWait(record, DEADLINE_MS);
  expect(lives(tool)).toBe(false);
  expect(isGroupAlive(record)).toBe(false);
});
