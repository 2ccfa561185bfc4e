import { expect, test } from "vitest";
import { type Import, importedNames, productImports, productSources, readSource } from "./imports.js";
import { isWithin, reservedPackages, roomOf } from "./rooms.js";

const show = ({ from, to }: Import): string => `${from} imports ${to}`;

test("the reader of imports finds every form of them", async () => {
  const source = [
    'import { type A, b } from "./mixed.js";',
    'import type { C } from "./type.js";',
    'export { d } from "./re-export.js";',
    'export type { E } from "./type-re-export.js";',
    'export * from "./star.js";',
    'import "./effect.js";',
    'const text: string = "import x from y" as string;',
    'const later = await import("./dynamic.js");',
  ].join("\n");
  const names = ["mixed", "type", "re-export", "type-re-export", "star", "effect", "dynamic"];
  expect(await importedNames(source)).toEqual(names.map((name) => `./${name}.js`));
});

test("every source file lies in a room", () => {
  expect(productSources().filter((path) => roomOf(path) === undefined)).toEqual([]);
});

test("imports follow the arrows between the rooms", async () => {
  const own = (await productImports()).filter(({ isPackage }) => !isPackage);
  expect(own.length).toBeGreaterThan(0);
  const against = own.filter(({ from, to }) => {
    const [source, target] = [roomOf(from), roomOf(to)];
    if (source === undefined || target === undefined) return true;
    return source !== target && !source.mayImport.includes(target.folder);
  });
  expect(against.map(show)).toEqual([]);
});

test("a package that belongs to a room is used in that room only", async () => {
  const misused = (await productImports()).filter(({ from, to, isPackage }) => {
    const folders = isPackage ? reservedPackages[to] : undefined;
    return folders !== undefined && !folders.some((folder) => isWithin(from, folder));
  });
  expect(misused.map(show)).toEqual([]);
});

test("only the manager's and the agents' entry files and the command line read the environment", () => {
  const reads = productSources().filter((path) => readSource(path).includes("process.env"));
  const entries =
    /^(manager\/main|agents\/(head|storage)\/(.+\/)?(main|[a-z-]+-process)|cli\/(main|local-cluster))\.ts$/;
  expect(reads.filter((path) => !entries.test(path))).toEqual([]);
});
