import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import { Exports } from "../../agents/storage/exports.js";
import { lives } from "./lives.js";
import { tempFolder } from "./temp-folder.js";
import { until } from "./until.js";

const DEADLINE_MS = 10_000;
const disk = { pdskid: 1, index: 0, path: "/none", bytes: 4096 };
const grantOf = (lvolid: number) => ({ grants: [{ lvolid, epoch: 1, extents: [] }], revoked: [] });

async function openExports(folder = tempFolder()) {
  const state = { document: grantOf(1) };
  const exports = await Exports.open({
    folder,
    entry: join(import.meta.dirname, "fixtures", "fake-export.mjs"),
    addresses: ["127.0.0.1"],
    firstPort: 1,
    bootId: "boot",
    logFormat: "json",
    logLevel: "info",
    onDiskFailed: () => undefined,
    grantsOf: () => state.document,
    log: pino({ level: "silent" }),
  });
  onTestFinished(() => exports.stopAll());
  const control = join(folder, "pdsk-00000001.ctl");
  const status = () =>
    callControl(control, "status", {}, DEADLINE_MS) as Promise<{
      pid: number;
      grants: unknown;
      tool: number;
    }>;
  const serve = (bytes = disk.bytes) => exports.ensure({ ...disk, bytes }, async () => undefined);
  return { folder, exports, state, status, serve };
}

test("an export knows the grants from its start, and obeys new ones before enforce returns", async () => {
  const { exports, state, status, serve } = await openExports();
  await serve();
  expect((await status()).grants).toEqual(grantOf(1).grants);
  state.document = grantOf(2);
  await exports.enforce(1);
  expect((await status()).grants).toEqual(grantOf(2).grants);
});

test("an export outlives its control process, is found again, and is told what holds now", async () => {
  const first = await openExports();
  await first.serve();
  const { pid } = await first.status();
  first.exports.release();
  const second = await openExports(first.folder);
  second.state.document = grantOf(3);
  await second.serve();
  expect(await second.status()).toMatchObject({ pid, grants: grantOf(3).grants });
});

test("an export that does not obey is dead before enforce returns, and started again with the new grants", async () => {
  const { folder, exports, state, status, serve } = await openExports();
  await serve();
  const { pid } = await status();
  state.document = grantOf(666);
  await exports.enforce(1);
  expect(lives(pid)).toBe(false);
  expect(JSON.parse(readFileSync(join(folder, "pdsk-00000001.grants.json"), "utf8"))).toMatchObject(
    grantOf(666),
  );
  await until(() =>
    status().then(
      (now) => now.pid !== pid,
      () => false,
    ),
  );
  expect((await status()).grants).toEqual(grantOf(666).grants);
});

test("an export that died is started again", async () => {
  const { status, serve } = await openExports();
  await serve();
  const { pid } = await status();
  process.kill(pid, "SIGKILL");
  await until(() =>
    status().then(
      (now) => now.pid !== pid,
      () => false,
    ),
  );
});

test("a disk that grew gets a new export, and a disk that is not ours any more has none", async () => {
  const { folder, exports, status, serve } = await openExports();
  await serve();
  const { pid } = await status();
  await serve(8192);
  const grown = await status();
  expect(grown.pid).not.toBe(pid);
  expect(lives(pid)).toBe(false);
  exports.release();
  const next = await openExports(folder);
  await next.exports.endStrangers();
  expect(lives(grown.pid)).toBe(false);
});

async function serveWithTool() {
  const opened = await openExports();
  opened.state.document = grantOf(555);
  await opened.serve();
  const { pid, tool } = await opened.status();
  expect(lives(tool)).toBe(true);
  onTestFinished(() => {
    if (lives(tool)) process.kill(tool, "SIGKILL");
  });
  return { ...opened, pid, tool };
}

test("a tool of an export that does not obey is dead before enforce returns", async () => {
  const { exports, state, tool } = await serveWithTool();
  state.document = grantOf(666);
  await exports.enforce(1);
  expect(lives(tool)).toBe(false);
});

test("a tool of an export that died is dead before enforce returns, and before the next export answers", async () => {
  const { exports, state, status, pid, tool } = await serveWithTool();
  state.document = grantOf(1);
  process.kill(pid, "SIGKILL");
  await until(() => !lives(pid));
  await exports.enforce(1);
  expect(lives(tool)).toBe(false);
  await until(() =>
    status().then(
      () => true,
      () => false,
    ),
  );
});

test("a tool of an export that died while its control process was away is dead before the next export answers", async () => {
  for (const isServed of [true, false]) {
    const first = await serveWithTool();
    first.exports.release();
    process.kill(first.pid, "SIGKILL");
    await until(() => !lives(first.pid));
    const second = await openExports(first.folder);
    if (isServed) await second.serve();
    else await second.exports.endStrangers();
    expect(lives(first.tool)).toBe(false);
  }
});

test("an export whose description can't be read is replaced", async () => {
  const first = await openExports();
  await first.serve();
  const { pid } = await first.status();
  first.exports.release();
  writeFileSync(join(first.folder, "pdsk-00000001.spec.json"), "damaged");
  const second = await openExports(first.folder);
  second.state.document = grantOf(2);
  await second.serve();
  expect(lives(pid)).toBe(false);
  expect((await second.status()).grants).toEqual(grantOf(2).grants);
});

test("an export that could not be taken over at the start is held to what is enforced", async () => {
  const first = await openExports();
  await first.serve();
  const { pid } = await first.status();
  first.exports.release();
  const second = await openExports(first.folder);
  const working = second.state.document;
  Object.defineProperty(second.state, "document", {
    configurable: true,
    get: () => {
      throw new Error("no grants yet");
    },
  });
  await expect(second.serve()).rejects.toThrow("no grants yet");
  Object.defineProperty(second.state, "document", { value: { ...working, ...grantOf(2) } });
  await second.exports.enforce(1);
  const now = await second.status();
  expect([now.pid, now.grants]).toEqual([pid, grantOf(2).grants]);
});
