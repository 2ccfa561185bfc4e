import { expect, test } from "vitest";
import { type Column, paint, renderProgress, renderTable, terminalOf } from "../../cli/table.js";

interface Row {
  readonly id: string;
  readonly text: string;
  readonly size: number;
}
const columns: readonly Column<Row>[] = [
  { title: "ID", cell: (row) => row.id },
  { title: "TEXT", narrows: "cut", cell: (row) => row.text },
  { title: "GB", align: "right", cell: (row) => row.size },
];
const rows: readonly Row[] = [
  { id: "a", text: "short", size: 5 },
  { id: "bb", text: "a text that is much too long for a narrow terminal", size: 1000 },
];

test("a table aligns its columns and cuts nothing where there is no terminal", () => {
  const wide = { width: Number.POSITIVE_INFINITY, colours: false };
  expect(renderTable(wide, columns, rows)).toEqual([
    "ID  TEXT                                                  GB",
    "a   short                                                  5",
    "bb  a text that is much too long for a narrow terminal  1000",
  ]);
});

test("a table fits its terminal by cutting what may be cut", () => {
  const lines = renderTable({ width: 30, colours: false }, columns, rows);
  expect(lines).toEqual([
    "ID  TEXT                    GB",
    "a   short                    5",
    "bb  a text that is much…  1000",
  ]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(30);
});

test("a table without rows says so", () => {
  expect(renderTable({ width: 80, colours: false }, columns, [])).toEqual(["none"]);
});

test("colours are for terminals, and NO_COLOR switches them off", () => {
  const stream = (isTTY: boolean) => ({ isTTY, columns: 80 }) as NodeJS.WriteStream;
  expect(paint(terminalOf(stream(true), {}), "red", "x")).toBe("\u001b[31mx\u001b[0m");
  expect(paint(terminalOf(stream(true), { NO_COLOR: "1" }), "red", "x")).toBe("x");
  expect(paint(terminalOf(stream(false), {}), "red", "x")).toBe("x");
});

test("a progress bar tells what is done, and that it does not know", () => {
  expect(renderProgress(50)).toBe("[##########----------]   50 %");
  expect(renderProgress(100)).toBe("[####################]  100 %");
  expect(renderProgress(-1)).toContain("?");
});

test("a terminal that does not tell its width is taken for a usual one", () => {
  for (const columns of [0, undefined]) {
    expect(terminalOf({ isTTY: true, columns } as NodeJS.WriteStream, {}).width).toBe(80);
  }
});

test("columns that can be spared are dropped before a line gets too wide, the last one first", () => {
  const fixed = ["a", "b", "c"].map(
    (title): Column<Row> => ({ title: title.repeat(8), droppable: title !== "a", cell: () => "x" }),
  );
  const titlesAt = (width: number): string | undefined =>
    renderTable({ width, colours: false }, fixed, rows)[0];
  expect(titlesAt(28)).toBe("aaaaaaaa  bbbbbbbb  cccccccc");
  expect(titlesAt(27)).toBe("aaaaaaaa  bbbbbbbb");
  expect(titlesAt(9)).toBe("aaaaaaaa");
});

test("what a cell would do to the terminal is left out", () => {
  const cells = [{ id: "a\u001b[2J\n", text: "", size: 1 }];
  expect(renderTable({ width: 80, colours: false }, columns.slice(0, 1), cells)[1]).toBe("a [2J");
});
