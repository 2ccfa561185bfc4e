/** Text for a terminal: tables that fit its width, colours, progress bars. */
export interface Terminal {
  /** Infinity where the output is not a terminal: what a program reads is never cut. */
  readonly width: number;
  readonly colours: boolean;
}

export interface Column<Row> {
  readonly title: string;
  readonly align?: "right";
  /** May be cut with an ellipsis when the terminal is too narrow. */
  readonly flexible?: boolean;
  readonly cell: (row: Row) => string | number;
}

export type Colour = "red" | "green" | "yellow" | "bold" | "dim";

const codes: Record<Colour, number> = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 };
const GAP = "  ";
const NARROWEST = 8;

/** NO_COLOR (https://no-color.org): any value but the empty one switches colours off. */
export function terminalOf(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): Terminal {
  const plain = (environment.NO_COLOR ?? "") !== "" || environment.TERM === "dumb";
  return { width: stream.isTTY ? stream.columns : Number.POSITIVE_INFINITY, colours: stream.isTTY && !plain };
}

export function paint(terminal: Terminal, colour: Colour, text: string): string {
  return terminal.colours ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** Takes what is too much from the flexible columns, the widest first. */
function narrow(widths: number[], flexible: readonly boolean[], available: number): void {
  const total = (): number => widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
  while (total() > available) {
    const candidates = widths.map((width, index) => (flexible[index] && width > NARROWEST ? width : 0));
    const widest = Math.max(...candidates);
    if (widest === 0) return;
    widths[candidates.indexOf(widest)] = widest - 1;
  }
}

/** @returns the lines of a table, titles first; a table without rows says so. */
export function renderTable<Row>(
  terminal: Terminal,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string[] {
  if (rows.length === 0) return [paint(terminal, "dim", "none")];
  const cells = rows.map((row) => columns.map((column) => String(column.cell(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => line[index]?.length ?? 0)),
  );
  narrow(
    widths,
    columns.map((column) => column.flexible === true),
    terminal.width,
  );
  const layOut = (line: readonly string[]): string =>
    columns
      .map((column, index) => {
        const width = widths[index] ?? 0;
        const text = cut(line[index] ?? "", width);
        return column.align === "right" ? text.padStart(width) : text.padEnd(width);
      })
      .join(GAP)
      .trimEnd();
  const titles = paint(terminal, "bold", layOut(columns.map((column) => column.title)));
  return [titles, ...cells.map(layOut)];
}

/** `[######----] 60 %`; an unknown progress (below 0) is shown as such. */
export function renderProgress(percent: number): string {
  const cellCount = 20;
  if (percent < 0) return `[${"·".repeat(cellCount)}]    ? %`;
  const full = Math.round((Math.min(percent, 100) / 100) * cellCount);
  return `[${"#".repeat(full)}${"-".repeat(cellCount - full)}] ${String(Math.floor(percent)).padStart(4)} %`;
}
