import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = "test/mutations";

/** A patch of `test/mutations` that takes promises or rules out of the code; `run.mjs` says what its header means. */
export interface Mutation {
  /** From the repository's root. */
  readonly path: string;
  readonly rules: readonly string[];
  /** What the code does no more. */
  readonly without: string;
  readonly test: string;
  /** A part of the names of the tests in that file; empty: all. */
  readonly name: string;
  /** The files that it changes. */
  readonly sources: readonly string[];
}

export function readMutations(): Mutation[] {
  const names = readdirSync(`${root}${folder}`).filter((name) => name.endsWith(".patch"));
  return names.sort().map((name) => {
    const path = `${folder}/${name}`;
    const text = readFileSync(`${root}${path}`, "utf8");
    const head = text.slice(0, text.indexOf("diff --git"));
    const field = (key: string): string => new RegExp(`^${key}: *(.+)$`, "m").exec(head)?.[1] ?? "";
    return {
      path,
      rules: field("rules").split(" "),
      without: field("without"),
      test: field("test"),
      name: field("name"),
      sources: [...text.matchAll(/^--- a\/(.+)$/gm)].map(([, source = ""]) => source),
    };
  });
}

const START = "<!-- mutations: generated from test/mutations -->\n";
const END = "<!-- end of mutations -->\n";

/** docs/safety.md with its table of mutations as the patches are now. @throws Error if the page has no place for it */
export function withMutations(page: string, mutations: readonly Mutation[]): string {
  const [start, end] = [page.indexOf(START), page.indexOf(END)];
  if (start < 0 || end < start) throw new Error("docs/safety.md has no place for the table of mutations");
  const rows = mutations.map(({ rules, without, sources, test, path }) => {
    const code = sources.map((source) => `\`${source}\``).join(", ");
    const mutation = path.slice(path.lastIndexOf("/") + 1);
    return `| ${rules.join(", ")} | ${without} | ${code} | \`${test}\` | \`${mutation}\` |\n`;
  });
  const table = [
    "| rule | what is taken out | code | test | mutation |\n",
    "|---|---|---|---|---|\n",
    ...rows,
  ];
  return page.slice(0, start + START.length) + table.join("") + page.slice(end);
}
