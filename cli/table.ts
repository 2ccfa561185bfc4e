import { fold } from "./fold.js";

/** Text for a terminal: tables that fit its width, colours, progress bars. */
export interface Terminal {
  /** Infinity where the output is not a terminal: what a program reads is never cut. */
  readonly width: number;
  readonly colours: boolean;
}

export interface Column<Row> {
  readonly title: string;
  readonly align?: "right";
  /** What happens to a cell when the terminal is too narrow: cut with an ellipsis, or folded into several lines. */
  readonly narrows?: "cut" | "fold";
  /** A column that narrows keeps at least this width: that of an id, where it holds ids. */
  readonly least?: number;
  /** Left out when the table is still too wide; of several, the last one first. */
  readonly droppable?: boolean;
  readonly cell: (row: Row) => string | number;
}

export type Colour = "red" | "green" | "yellow" | "bold" | "dim";

const codes: Record<Colour, number> = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 };
const GAP = "  ";
/** What a device's path or an error's text might do to the terminal. */
const CONTROL = /\p{Cc}/gu;
const NARROWEST = 8;
/** Of a terminal that does not tell its width. */
const USUAL_WIDTH = 80;

/** NO_COLOR (https://no-color.org): any value but the empty one switches colours off. */
export function terminalOf(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): Terminal {
  const plain = (environment.NO_COLOR ?? "") !== "" || environment.TERM === "dumb";
  const width = stream.isTTY ? stream.columns || USUAL_WIDTH : Number.POSITIVE_INFINITY;
  return { width, colours: stream.isTTY && !plain };
}

export function paint(terminal: Terminal, colour: Colour, text: string): string {
  return terminal.colours ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** A column as it will be shown. */
interface Laid<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  width: number;
}

const totalWidth = (laid: readonly { readonly width: number }[]): number =>
  laid.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length);

/** How much of its width a column can still give. */
function slackOf<Row>({ column, width }: Laid<Row>): number {
  return column.narrows === undefined ? 0 : Math.max(0, width - (column.least ?? NARROWEST));
}

/** Drops columns that can be spared, then takes what is too much from those that narrow, the widest first. */
function fitColumns<Row>(all: readonly Laid<Row>[], available: number): readonly Laid<Row>[] {
  let laid = all;
  const slack = (): number => laid.reduce((sum, each) => sum + slackOf(each), 0);
  while (totalWidth(laid) - slack() > available) {
    const spared = laid.findLast(({ column }) => column.droppable === true);
    if (spared === undefined) break;
    laid = laid.filter((each) => each !== spared);
  }
  while (totalWidth(laid) > available && slack() > 0) {
    const [widest] = laid.filter((each) => slackOf(each) > 0).sort((a, b) => b.width - a.width);
    if (widest !== undefined) widest.width -= 1;
  }
  return laid;
}

function layOut<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): Laid<Row>[] {
  return columns.map((column) => {
    const cells = rows.map((row) => String(column.cell(row)).replace(CONTROL, " "));
    const width = cells.reduce((most, cell) => Math.max(most, cell.length), column.title.length);
    return { column, cells, width };
  });
}

/** One row, which takes as many lines as its most folded cell. */
function rowLines<Row>(laid: readonly Laid<Row>[], textOf: (each: Laid<Row>) => string): string[] {
  const parts = laid.map((each) => {
    const text = textOf(each);
    return each.column.narrows === "fold" ? fold(text, each.width) : [cut(text, each.width)];
  });
  const height = Math.max(...parts.map((part) => part.length));
  return Array.from({ length: height }, (_, line) =>
    laid
      .map(({ column, width }, index) => {
        const text = parts[index]?.[line] ?? "";
        return column.align === "right" ? text.padStart(width) : text.padEnd(width);
      })
      .join(GAP)
      .trimEnd(),
  );
}

/** @returns the lines of a table, titles first; a table without rows says so. */
export function renderTable<Row>(
  terminal: Terminal,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string[] {
  if (rows.length === 0) return [paint(terminal, "dim", "none")];
  const laid = fitColumns(layOut(columns, rows), terminal.width);
  const titles = rowLines(laid, ({ column }) => column.title);
  return [
    ...titles.map((line) => paint(terminal, "bold", line)),
    ...rows.flatMap((_, row) => rowLines(laid, ({ cells }) => cells[row] ?? "")),
  ];
}

/** `[######----] 60 %`; an unknown progress (below 0) is shown as such. */
export function renderProgress(percent: number, cellCount = 20): string {
  if (percent < 0) return `[${"·".repeat(cellCount)}]    ? %`;
  const full = Math.round((Math.min(percent, 100) / 100) * cellCount);
  return `[${"#".repeat(full)}${"-".repeat(cellCount - full)}] ${String(Math.floor(percent)).padStart(4)} %`;
}
