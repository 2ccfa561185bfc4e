#!/usr/bin/env node
// Takes one rule after the other out of the code, by the patches beside this file, and runs the test that each names: it must
// fail. A patch begins with lines `key: value`:
//   rules:   the promises and rules of docs/safety.md that it breaks
//   without: what the code does no more
//   test:    file of the test
//   name:    part of the names of the tests to run in it (optional)
// Usage: npm run test:mutations [-- NAME...], with parts of the names of patches.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");
/** Not part of the project, or made from it. */
const LEFT_OUT = [".git", "node_modules", "dist"];
/** A test that hangs has noticed, too, but must say so in time. */
const TEST_MINUTES = 10;
const OTHER_MINUTES = 5;

function readMutations() {
  return readdirSync(here)
    .filter((name) => name.endsWith(".patch"))
    .sort()
    .map((name) => {
      const text = readFileSync(join(here, name), "utf8");
      const head = text.slice(0, text.indexOf("diff --git"));
      const fields = Object.fromEntries(
        [...head.matchAll(/^(\w+): *(.+)$/gm)].map(([, key, value]) => [key, value]),
      );
      for (const key of ["rules", "without", "test"])
        if (fields[key] === undefined) throw new Error(`${name} does not say "${key}:"`);
      return { ...fields, file: join(here, name), id: basename(name, ".patch") };
    });
}

/** The program that runs, in a process group of its own: it ends with us, and with what it started. */
let running;

function endRunning() {
  try {
    if (running?.pid !== undefined) process.kill(-running.pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function run(folder, [command, ...args], minutes) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: folder, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    running = child;
    let output = "";
    let timedOut = false;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    const deadline = setTimeout(() => {
      timedOut = true;
      endRunning();
    }, minutes * 60_000);
    child.once("error", reject);
    child.once("close", (status) => {
      clearTimeout(deadline);
      endRunning();
      running = undefined;
      resolve({ ok: status === 0, timedOut, output });
    });
  });
}

async function must(folder, command) {
  const { ok, output } = await run(folder, command, OTHER_MINUTES);
  if (!ok) throw new Error(`${command.join(" ")} failed:\n${output.slice(-2000)}`);
}

/** What is in the working tree, in a folder of its own. */
async function copyProject(folder) {
  cpSync(root, folder, { recursive: true, filter: (path) => !LEFT_OUT.includes(relative(root, path)) });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  // Patches are applied to files below the folder, also if that lies in some repository.
  await must(folder, ["git", "init", "--quiet"]);
}

const tool = (name) => join(root, "node_modules", ".bin", name);

/** What a patch changes is compiled anew, and what depends on it: a third of the time. */
const build = (folder) =>
  must(folder, [
    tool("tsc"),
    "-p",
    "tsconfig.build.json",
    "--incremental",
    "--tsBuildInfoFile",
    "tsbuildinfo",
  ]);

async function runTest(folder, { test, name }) {
  const only = name === undefined ? [] : ["-t", name];
  const vitest = [
    tool("vitest"),
    "run",
    "--config",
    "test/vitest.config.ts",
    "--reporter=json",
    test,
    ...only,
  ];
  const { timedOut, output } = await run(folder, vitest, TEST_MINUTES);
  const line = output.match(/\{"numTotalTestSuites".*\}/)?.[0];
  const report = line === undefined ? { numPassedTests: 0, testResults: [] } : JSON.parse(line);
  const failures = report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === "failed")
    .map(({ failureMessages }) => failureMessages.join().split("\n")[0]);
  return { passed: report.numPassedTests, failures, timedOut, output };
}

/** @returns how the test fails without the rule; undefined if it does not */
async function breakAndTest(folder, mutation) {
  await must(folder, ["git", "apply", mutation.file]);
  try {
    await build(folder);
    const { failures, timedOut } = await runTest(folder, mutation);
    if (failures.length > 0) return failures[0];
    return timedOut ? "it hangs" : undefined;
  } finally {
    await must(folder, ["git", "apply", "--reverse", mutation.file]);
  }
}

/** Tests that fail as the project is prove nothing. */
async function assertTestsPass(folder, mutations) {
  await build(folder);
  for (const test of new Set(mutations.map((mutation) => mutation.test))) {
    const names = mutations.filter((mutation) => mutation.test === test).map(({ name }) => name);
    const name = names.includes(undefined) ? undefined : names.join("|");
    const { passed, failures, output } = await runTest(folder, { test, name });
    if (failures.length > 0 || passed === 0)
      throw new Error(`${test} does not pass as it is:\n${output.slice(-3000)}`);
  }
}

async function main(folder) {
  const parts = process.argv.slice(2);
  const chosen = readMutations().filter(
    ({ id }) => parts.length === 0 || parts.some((part) => id.includes(part)),
  );
  await copyProject(folder);
  await assertTestsPass(folder, chosen);
  let found = 0;
  for (const mutation of chosen) {
    const outcome = await breakAndTest(folder, mutation).then(
      (how) => ({ verdict: how === undefined ? "SURVIVED" : "found", how: how ?? "the test passes" }),
      (error) => ({ verdict: "UNUSABLE", how: error.message }),
    );
    if (outcome.verdict === "found") found += 1;
    console.log(`${outcome.verdict}  ${mutation.id} (${mutation.rules}): ${mutation.test}: ${outcome.how}`);
  }
  console.log(`${found} of ${chosen.length} mutations found`);
  if (found < chosen.length) process.exitCode = 1;
}

const folder = mkdtempSync(join(tmpdir(), "mutations-vas-"));
process.once("exit", () => {
  endRunning();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));
await main(folder);
