import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { readMutations, root, withMutations } from "./mutations.js";

const mutations = readMutations();
const page = `${root}docs/safety.md`;

/** Rules that no code keeps yet, or that are not whole. */
const EXEMPT = ["R13", "R14"];

test("every promise and rule of docs/safety.md has a mutation that takes it out, and none is made up", () => {
  const text = readFileSync(page, "utf8");
  const promises = [...text.matchAll(/^- \*\*(D\d+)\*\*/gm)].map(([, id = ""]) => id);
  const rules = [...text.matchAll(/^\| (R\d+) [^|]/gm)].map(([, id = ""]) => id);
  expect([promises.length, rules.length]).toEqual([10, 15]);
  const wanted = [...promises, ...rules].filter((id) => !EXEMPT.includes(id));
  const broken = new Set(mutations.flatMap((mutation) => mutation.rules));
  expect([...broken].sort()).toEqual(wanted.sort());
});

test("docs/safety.md lists the mutations as they are", () => {
  if (process.env.VAS_WRITE_DOCS === "1")
    writeFileSync(page, withMutations(readFileSync(page, "utf8"), mutations));
  const text = readFileSync(page, "utf8");
  expect(text).toBe(withMutations(text, mutations));
});

test.each(mutations)("$path names a test that is there", ({ test: path, name }) => {
  expect(path).not.toBe("");
  expect(existsSync(`${root}${path}`)).toBe(true);
  expect(readFileSync(`${root}${path}`, "utf8")).toContain(name);
});

test("the patches fit the code as it is", async () => {
  // Not relative to some repository that the project's folder lies in.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: dirname(root.replace(/\/$/, "")) };
  for (const { path, sources } of mutations) {
    expect(sources.length, path).toBeGreaterThan(0);
    // It says nothing if all is well; one that does not fit rejects.
    const { stderr } = await promisify(execFile)("git", ["apply", "--check", path], { cwd: root, env });
    expect(stderr, path).toBe("");
  }
});
