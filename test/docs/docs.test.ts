import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorRegistry } from "../../shared/errors.js";
import { describeMembers, describeMethod } from "../../shared/methods/describe-method.js";
import { managerMethods } from "../../shared/methods/manager-methods.js";
import type { Method } from "../../shared/methods/method.js";
import { renderApi } from "./api-page.js";
import { renderErrors } from "./errors-page.js";

const methods: readonly (readonly [string, Method])[] = Object.entries(managerMethods);

test.each([
  ["api.md", renderApi],
  ["errors.md", renderErrors],
] as const)("docs/%s is what the tables say", (name, render) => {
  const page = new URL(`../../docs/${name}`, import.meta.url);
  if (process.env.VAS_WRITE_DOCS === "1") writeFileSync(page, render());
  expect(readFileSync(page, "utf8")).toBe(render());
});

test.each(methods)(
  "%s says what each of its parameters and the members of its answer are",
  (_name, method) => {
    // A struct within an answer is explained by its members.
    const silent = [...describeMembers(method.params), ...describeMembers(method.result)].filter(
      ({ about, type }) => about === "" && type !== "struct" && type !== "array<struct>",
    );
    expect(silent).toEqual([]);
  },
);

test.each(methods)("%s raises only errors of the registry, and says when", (_name, method) => {
  for (const [name, when] of Object.entries(method.errors)) {
    expect(Object.keys(errorRegistry)).toContain(name);
    expect(when).not.toBe("");
  }
});

test("the help of a method is short enough to read on a terminal", () => {
  for (const [name, method] of methods) {
    expect(describeMethod(name, method).split("\n").length, name).toBeLessThan(60);
  }
});
