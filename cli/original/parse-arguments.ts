import { type Parameter, WrongUsage } from "./parameter.js";

/** What a command line may hold: options that take a value, by their name without dashes, then arguments. */
export interface Syntax {
  readonly name: string;
  readonly options: Readonly<Record<string, Parameter<unknown>>>;
  readonly parameters: readonly Parameter<unknown>[];
}

export interface ParsedArguments {
  readonly help: boolean;
  readonly options: Readonly<Record<string, unknown>>;
  readonly values: readonly unknown[];
}

/** `usage: lvol_list [-h|--help] [lvol]` */
export function usageOf({ name, options, parameters }: Syntax): string {
  const optionTexts = Object.entries(options).map(([option, value]) => `[--${option} ${value.name}]`);
  const parameterTexts = parameters.map((parameter) =>
    parameter.isOptional === true ? `[${parameter.name}]` : parameter.name,
  );
  return ["usage:", name, "[-h|--help]", ...optionTexts, ...parameterTexts].join(" ");
}

/** The long option that is meant: itself, or the only one that begins like this. */
function resolveOption(text: string, { options }: Syntax): string {
  const known = ["help", ...Object.keys(options)];
  const found = known.includes(text) ? [text] : known.filter((option) => option.startsWith(text));
  const [option] = found;
  if (option !== undefined && found.length === 1) return option;
  throw new WrongUsage(
    `unknown option: --${text}; expected ${["-h", ...known.map((name) => `--${name}`)].join(", ")}`,
  );
}

/** One option at the head of `rest`, taken from it. @returns its name and its text, if it takes one. */
function takeOption(rest: string[], syntax: Syntax): [option: string, text: string] {
  const given = rest.shift() ?? "";
  if (given === "-h") return ["help", ""];
  if (!given.startsWith("--")) throw new WrongUsage(`unknown option: ${given}; expected -h or --help`);
  const [, written = "", inline] = /^--([^=]*)(?:=(.*))?$/s.exec(given) ?? [];
  const option = resolveOption(written, syntax);
  if (option === "help") {
    if (inline !== undefined) throw new WrongUsage("--help takes no value; expected --help alone");
    return [option, ""];
  }
  const text = inline ?? rest.shift();
  if (text !== undefined) return [option, text];
  throw new WrongUsage(
    `missing value of --${option}; expected --${option} ${syntax.options[option]?.name ?? ""}`,
  );
}

function parseValues(texts: readonly string[], parameters: readonly Parameter<unknown>[]): unknown[] {
  const extra = texts[parameters.length];
  if (extra !== undefined) {
    const expected = parameters.length === 0 ? "none" : `at most ${parameters.length}`;
    throw new WrongUsage(`superfluous argument: ${extra}; expected ${expected}`);
  }
  const missing = parameters.find(
    ({ isOptional }, place) => isOptional !== true && texts[place] === undefined,
  );
  if (missing !== undefined) {
    const all = parameters.map(({ name }) => name).join(" ");
    throw new WrongUsage(`missing argument: ${missing.name}; expected ${all}`);
  }
  return texts.map((text, place) => parameters[place]?.parse(text));
}

/**
 * Reads a command line as getopt does: options come before arguments, `--` ends them.
 *
 * @throws WrongUsage
 */
export function parseArguments(argv: readonly string[], syntax: Syntax): ParsedArguments {
  const rest = [...argv];
  const options: Record<string, unknown> = {};
  while (rest[0]?.startsWith("-") && rest[0] !== "-") {
    if (rest[0] === "--") {
      rest.shift();
      break;
    }
    const [option, text] = takeOption(rest, syntax);
    if (option === "help") return { help: true, options: {}, values: [] };
    options[option] = syntax.options[option]?.parse(text);
  }
  return { help: false, options, values: parseValues(rest, syntax.parameters) };
}
