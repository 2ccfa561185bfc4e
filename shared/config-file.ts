import { readFileSync } from "node:fs";
import { type OldKey, oldKeys } from "./config-old-keys.js";
import { IniError, type IniSection, parseIni } from "./ini.js";
import { describeIssue } from "./wire-types.js";

/** A configuration that can't be used; the message names the file, the line and what to do. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export interface RawValue {
  readonly value: string;
  /** `FILE line N`, or the environment variable. */
  readonly where: string;
}
/** Values of the file by section and key. */
export type RawConfig = Map<string, Map<string, RawValue>>;

/** The keys of each section that have a meaning here. */
type SectionKeys = ReadonlyMap<string, readonly string[]>;

const oldKeysOf = (section: string): string[] =>
  oldKeys.filter((old) => old.section === section).map(({ key }) => key);

/** @throws ConfigError unless the section and all of its keys are known, ours or old ones. */
function assertKnown(
  section: string,
  values: ReadonlyMap<string, RawValue>,
  sectionKeys: SectionKeys,
  where: string,
): void {
  const known = [...(sectionKeys.get(section) ?? []), ...oldKeysOf(section)];
  if (known.length === 0) {
    const names = new Set([...sectionKeys.keys(), ...oldKeys.map((old) => old.section)]);
    throw new ConfigError(`${where}: there is no section [${section}]; known are ${[...names].join(", ")}`);
  }
  for (const [key, value] of values) {
    if (known.includes(key)) continue;
    throw new ConfigError(`${value.where}: [${section}] has no key "${key}"; known are ${known.join(", ")}`);
  }
}

function parseFile(path: string): ReadonlyMap<string, IniSection> {
  try {
    return parseIni(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof IniError) throw new ConfigError(`${path} line ${error.line}: ${error.message}`);
    throw new ConfigError(
      `can't read the configuration ${path}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** The sections and keys of a file, each with where it stands. */
function readRaw(path: string, sectionKeys: SectionKeys): RawConfig {
  const raw: RawConfig = new Map();
  for (const [section, { line, values }] of parseFile(path)) {
    const entries = [...values].map(([key, found]): [string, RawValue] => [
      key,
      { value: found.value, where: `${path} line ${found.line}` },
    ]);
    raw.set(section, new Map(entries));
    assertKnown(section, new Map(entries), sectionKeys, `${path} line ${line}`);
  }
  return raw;
}

function checkOldKey(old: OldKey, found: RawValue): void {
  const checked = old.check.safeParse(found.value);
  if (checked.success) return;
  throw new ConfigError(
    `${found.where}: ${old.key} ${describeIssue(checked.error)} (found "${found.value}")`,
  );
}

/** Puts the value of an old key where its other name has it. */
function translateOldKey(raw: RawConfig, old: OldKey, found: RawValue): void {
  const [section, key] = old.means ?? ["", ""];
  const values = raw.get(section) ?? new Map<string, RawValue>();
  const other = values.get(key);
  if (other !== undefined && old.yields === true) return;
  if (other !== undefined) {
    throw new ConfigError(
      `${found.where}: ${old.key} and ${key} (${other.where}) are two names of the same; leave one of them out`,
    );
  }
  const value = old.translate?.(found.value) ?? found.value;
  raw.set(section, values.set(key, { value, where: found.where }));
}

/**
 * Reads a configuration file. Old keys are checked, and those that have another name here are given it.
 *
 * @param path undefined = no file, thus no values.
 * @returns also a sentence for each key that has no effect.
 * @throws ConfigError
 */
export function readConfigFile(
  path: string | undefined,
  sectionKeys: SectionKeys,
): { readonly raw: RawConfig; readonly ignored: readonly string[] } {
  if (path === undefined) return { raw: new Map(), ignored: [] };
  const raw = readRaw(path, sectionKeys);
  const ignored: string[] = [];
  const found = [...raw].flatMap(([section, values]) =>
    [...values].map(([key, value]) => ({ section, key, value })),
  );
  for (const { section, key, value } of found) {
    const old = oldKeys.find((each) => each.section === section && each.key === key);
    if (old === undefined) continue;
    checkOldKey(old, value);
    if (old.means === undefined) ignored.push(`${value.where}: [${section}] ${key} has no effect`);
    else translateOldKey(raw, old, value);
  }
  return { raw, ignored: Object.freeze(ignored) };
}
