import type { z } from "zod";
import { sections } from "../../shared/config.js";
import { oldKeys } from "../../shared/config-old-keys.js";

/** A key of the schema: what is below its default knows the unit. */
interface Described {
  readonly schema: z.ZodType;
  readonly unit: string;
}

function describedBy(schema: z.ZodType): Described {
  const inner = (schema as z.ZodDefault<z.ZodType>).def.innerType;
  const unit = schema.meta()?.unit ?? inner.meta()?.unit ?? "";
  return { schema, unit: String(unit) };
}

function showDefault(schema: z.ZodType): string {
  const value = schema.parse(undefined);
  const text = Array.isArray(value) ? value.join(", ") : String(value);
  return text === "" ? "(empty)" : `\`${text}\``;
}

function keyRow(key: string, { schema, unit }: Described): string {
  return `| \`${key}\` | ${schema.description} | ${unit} | ${showDefault(schema)} |`;
}

function sectionText(name: string, shape: Readonly<Record<string, z.ZodType>>): string {
  const rows = Object.entries(shape).map(([key, schema]) => keyRow(key, describedBy(schema)));
  return [`## [${name}]`, "", "| key | meaning | unit | default |", "|---|---|---|---|", ...rows, ""].join(
    "\n",
  );
}

const introduction = `# Configuration

Generated from \`shared/config.ts\`; \`VAS_WRITE_DOCS=1 npx vitest run --config test/vitest.config.ts test/config\` writes it
anew.

The manager and the agents are given one file, \`--config /etc/vas.conf\`, which may be the same on all servers. It is an INI
file as Python 2 reads it: \`key = value\` or \`key: value\` below a \`[section]\`; comments begin with \`#\` or \`;\` at the start
of a line, or with \`;\` after white space; a line that begins with white space continues the value above it. Lists are
separated by commas or white space. A value can't refer to another one with \`%(name)s\`. Keys may be written in capitals,
sections may not.

A key is overridden by the environment variable \`VAS_<SECTION>_<KEY>\` in capitals, for example
\`VAS_STORAGE_MANAGER_PORT=8891\`. An unknown section or key and a bad value stop the start, with the file and the line.
`;

function oldKeysText(): string {
  const rows = oldKeys.map(({ section, key, means, about }) => {
    const here = means === undefined ? "no effect" : `\`[${means[0]}] ${means[1]}\``;
    return `| \`[${section}] ${key}\` | ${here} | ${about} |`;
  });
  return [
    "## Keys of the original Vastsky",
    "",
    "The file of an existing installation is read as it is. Keys that have another name here mean the same; both names at",
    "once are an error, except for `loglevel`, which yields to `[log] level`. Keys without effect are checked, and named by a",
    "warning in the log at each start.",
    "",
    "| key | here | about |",
    "|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

/** The text of docs/configuration.md. */
export function renderConfiguration(): string {
  const parts = Object.entries(sections).map(([name, { shape }]) => sectionText(name, shape));
  return [introduction, ...parts, oldKeysText()].join("\n");
}
