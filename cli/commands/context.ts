import type { ManagerClient } from "../client.js";
import type { Column, Terminal } from "../table.js";
import { renderTable } from "../table.js";

/** What a command is given: it reads neither the environment nor the terminal by itself. */
export interface CommandContext {
  readonly client: ManagerClient;
  readonly terminal: Terminal;
  readonly json: boolean;
  /** Writes lines to the standard output. */
  readonly print: (...lines: string[]) => void;
  /** Asks the person; undefined where there is none. */
  readonly ask: ((question: string) => Promise<string>) | undefined;
}

/** Made once the global options are known, which is when a command runs. */
export type MakeContext = () => CommandContext;

/** Prints an answer of the manager: as it is for a program, as text for a person. */
export function show(
  context: Pick<CommandContext, "json" | "print">,
  answer: unknown,
  lines: () => readonly string[],
): void {
  if (context.json) context.print(JSON.stringify(answer, null, 2));
  else context.print(...lines());
}

export function showTable<Row>(
  context: CommandContext,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  show(context, rows, () => renderTable(context.terminal, columns, rows));
}
