import { Argument, type Command } from "commander";
import { type CompletionEntry, completionScripts } from "../completion-scripts.js";
import { methodNames } from "./call.js";

/** Words that an argument can be. The methods of `vas call` are no choices for commander: its help would list them twice. */
function choicesOf(command: Command): readonly string[] {
  if (command.name() === "call") return methodNames;
  return command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
}

/** The commands of a program with what can follow each. The path of the program itself is empty. */
export function completionEntries(program: Command): CompletionEntry[] {
  const global = program.options;
  const visit = (command: Command, path: readonly string[]): CompletionEntry[] => [
    {
      path,
      words: [
        ...command.commands.map((child) => ({ text: child.name(), help: child.description() })),
        ...choicesOf(command).map((text) => ({ text, help: "" })),
        ...[...new Set([...command.options, ...global])].map((option) => ({
          text: option.long ?? option.short ?? "",
          help: option.description,
        })),
        { text: "--help", help: "show how it is used" },
      ],
    },
    ...command.commands.flatMap((child) => visit(child, [...path, child.name()])),
  ];
  return visit(program, []);
}

/** `vas completion SHELL` */
export function addCompletionCommand(program: Command, print: (...lines: string[]) => void): void {
  program
    .command("completion")
    .description("print a script that completes commands and options in a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(completionScripts)))
    .addHelpText("after", "\nFor bash, for example: source <(vas completion bash)")
    .action((shell: keyof typeof completionScripts) => {
      print(...completionScripts[shell](program.name(), completionEntries(program)));
    });
}
