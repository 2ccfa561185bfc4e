/** What can follow one command: its subcommands, choices and options. */
export interface CompletionEntry {
  /** Names of the command and those above it: `["volume", "list"]`; empty for the program. */
  readonly path: readonly string[];
  readonly words: readonly { readonly text: string; readonly help: string }[];
}

type Script = (program: string, entries: readonly CompletionEntry[]) => string[];

/** A command's place as the scripts keep it: each name with a space before it. */
const placeOf = ({ path }: CompletionEntry): string => path.map((name) => ` ${name}`).join("");

const places = (entries: readonly CompletionEntry[]): string[] =>
  entries.map(placeOf).filter((place) => place !== "");

const texts = ({ words }: CompletionEntry): string => words.map(({ text }) => text).join(" ");

/** Options and arguments between the names are passed over: what is no command does not change the place. */
const walk = (entries: readonly CompletionEntry[]): string =>
  places(entries)
    .map((place) => `"${place}"`)
    .join("|");

const bash: Script = (program, entries) => [
  `_${program}() {`,
  '  local place="" word',
  `  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
  '    case "$place $word" in',
  `      ${walk(entries)}) place="$place $word" ;;`,
  "    esac",
  "  done",
  '  case "$place" in',
  ...entries.map((entry) => `    "${placeOf(entry)}") word="${texts(entry)}" ;;`),
  "  esac",
  `  COMPREPLY=($(compgen -W "$word" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
  "}",
  `complete -o default -F _${program} ${program}`,
];

const zsh: Script = (program, entries) => [
  `#compdef ${program}`,
  `_${program}() {`,
  '  local place="" word',
  `  for word in "\${(@)words[2,CURRENT-1]}"; do`,
  '    case "$place $word" in',
  `      (${walk(entries)}) place="$place $word" ;;`,
  "    esac",
  "  done",
  '  case "$place" in',
  ...entries.map((entry) => `    ("${placeOf(entry)}") compadd -- ${texts(entry)} ;;`),
  "  esac",
  "}",
  `if [ "$funcstack[1]" = "_${program}" ]; then _${program} "$@"; else compdef _${program} ${program}; fi`,
];

const quote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;

function fishWord(program: string, entry: CompletionEntry, text: string, help: string): string {
  const what = text.startsWith("--") ? `-l ${text.slice(2)}` : `-a ${text}`;
  const description = help === "" ? "" : ` -d ${quote(help)}`;
  return `complete -c ${program} -n '__${program}_at "${placeOf(entry)}"' ${what}${description}`;
}

const fish: Script = (program, entries) => [
  `function __${program}_at`,
  "  set -l place ''",
  "  for word in (commandline -opc)[2..-1]",
  '    switch "$place $word"',
  `      case ${places(entries).map(quote).join(" ")}`,
  '        set place "$place $word"',
  "    end",
  "  end",
  '  test "$place" = "$argv[1]"',
  "end",
  `complete -c ${program} -f`,
  ...entries.flatMap((entry) => entry.words.map(({ text, help }) => fishWord(program, entry, text, help))),
];

/** Completion scripts for the shells that have them. They hold words alone and ask no manager. */
export const completionScripts = { bash, zsh, fish } as const satisfies Record<string, Script>;
