import { readFileSync } from "node:fs";

/** The compiled file lies one folder deeper than its source. */
const manifest = import.meta.url.endsWith(".ts") ? "../package.json" : "../../package.json";

/** The version of this program, as its package says. */
export function readVersion(): string {
  const text = readFileSync(new URL(manifest, import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
