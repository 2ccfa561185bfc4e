import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { init, parse } from "es-module-lexer";
import { productFolders } from "./rooms.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** One import: both paths from the root of the repository with the ending `.ts`, or the name of a package. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly isPackage: boolean;
}

/** All TypeScript sources of the product, from the root of the repository. Tests beside the code are not product. */
export function productSources(): string[] {
  return productFolders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
      .map((name) => `${folder}/${name}`),
  );
}

export const readSource = (path: string): string => readFileSync(join(root, path), "utf8");

/** What a TypeScript source imports and re-exports, dynamically and as types too. */
export async function importedNames(source: string): Promise<string[]> {
  await init;
  const [imports] = parse(source);
  return imports.flatMap((found) =>
    found.type === "import-meta" || typeof found.specifier !== "string" ? [] : [found.specifier],
  );
}

function resolveImport(from: string, name: string): Import {
  if (!name.startsWith(".")) return { from, to: name, isPackage: true };
  return { from, to: normalize(join(dirname(from), name)).replace(/\.js$/, ".ts"), isPackage: false };
}

/** Every import of every product source. */
export async function productImports(): Promise<Import[]> {
  const imports: Import[] = [];
  for (const source of productSources()) {
    for (const name of await importedNames(readSource(source))) imports.push(resolveImport(source, name));
  }
  return imports;
}
