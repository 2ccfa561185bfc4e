/** A value of an INI file, and the line that it begins on. */
export interface IniValue {
  readonly value: string;
  readonly line: number;
}
/** A section, the line of its title, and its values by key; keys are in lower case. */
export interface IniSection {
  readonly line: number;
  readonly values: ReadonlyMap<string, IniValue>;
}

/** A line that can't be read; the message says what was expected. */
export class IniError extends Error {
  override readonly name = "IniError";

  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message);
  }
}

interface Entry {
  value: string;
  readonly line: number;
}
interface Section extends IniSection {
  readonly values: Map<string, Entry>;
}

/** `rem` is a comment too, for Python. */
const isComment = (line: string): boolean => /^\s*(?:$|[#;])|^rem(?:\s|$)/i.test(line);

/** A semicolon after white space begins a comment, and two percent signs stand for one. */
function readValue(written: string, line: number): string {
  const value = ` ${written}`.replace(/\s;.*$/, "").trim();
  if (/%\(/.test(value)) {
    throw new IniError(line, `a value can't refer to another one, as "${value}" does; write it out`);
  }
  return value === '""' ? "" : value.replaceAll("%%", "%");
}

/** Reads one file line by line: where it is, and what it has found. */
class IniReader {
  readonly sections = new Map<string, Section>();
  #section: Section | undefined;
  #last: Entry | undefined;

  read(text: string, line: number): void {
    if (isComment(text)) return;
    const header = /^\[([^\]]+)\]\s*(?:[#;].*)?$/.exec(text)?.[1];
    if (header !== undefined) this.#begin(header, line);
    else if (/^\s/.test(text)) this.#continue(text.trim(), line);
    else this.#add(text, line);
  }

  #begin(name: string, line: number): void {
    this.#section = this.sections.get(name) ?? { line, values: new Map() };
    this.sections.set(name, this.#section);
    this.#last = undefined;
  }

  #add(text: string, line: number): void {
    const [, key, written] = /^([^=:\s][^=:]*?)\s*[=:](.*)$/.exec(text) ?? [];
    if (key === undefined || written === undefined)
      throw new IniError(line, `expected "key = value", found "${text.trim()}"`);
    if (this.#section === undefined)
      throw new IniError(line, "a key must stand below a section such as [storage_manager]");
    this.#last = { value: readValue(written, line), line };
    this.#section.values.set(key.toLowerCase(), this.#last);
  }

  /** A line that begins with white space belongs to the value above it. */
  #continue(text: string, line: number): void {
    if (this.#last === undefined)
      throw new IniError(line, `"${text}" begins with white space and continues no value`);
    // An indented key would be swallowed by the value above it, unnoticed if that is a text.
    if (/^[a-z_]+\s*[=:]\s/i.test(text)) {
      throw new IniError(
        line,
        `"${text}" would continue the value above; begin the line without white space`,
      );
    }
    this.#last.value = `${this.#last.value}\n${readValue(text, line)}`.trim();
  }
}

/**
 * Parses an INI file as the ConfigParser of Python 2 does, which installations wrote theirs for: `key: value` or
 * `key = value`, comments with # or ; at the start of a line and ; after white space, values that go on in lines that
 * start with white space. References to other values are refused.
 *
 * @throws IniError
 */
export function parseIni(content: string): ReadonlyMap<string, IniSection> {
  const reader = new IniReader();
  for (const [index, text] of content
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    reader.read(text, index + 1);
  }
  return reader.sections;
}
