import { describe, expect, test } from "vitest";
import { CELL_BYTES, encodeCells } from "./cells.js";
import { History, type Write } from "./history.js";

const VOLUME = 7;
const CELL = 100;

/** What is wrong with reading this one cell as the given write left it, or as zeros. */
function reading(history: History, seen: Write | undefined, cell = CELL): string[] {
  const data = seen === undefined ? Buffer.alloc(CELL_BYTES) : encodeCells(VOLUME, cell, 1, seen.sequence);
  return history.endRead(history.beginRead(cell, 1), data);
}

function acknowledged(history: History, isZero = false): Write {
  const write = history.begin(CELL, 1, isZero);
  history.acknowledge(write);
  return write;
}

describe("what a volume may hold", () => {
  test("an acknowledged write is there, and nothing from before it", () => {
    const history = new History(VOLUME);
    expect(reading(history, undefined)).toEqual([]);
    const first = acknowledged(history);
    const second = acknowledged(history);
    expect(reading(history, second)).toEqual([]);
    expect(reading(history, first)).toHaveLength(1);
    expect(reading(history, undefined)).toHaveLength(1);
    acknowledged(history, true);
    expect(reading(history, undefined)).toEqual([]);
    expect(reading(history, second)).toHaveLength(1);
  });

  test("a write in doubt is there or not, but does not change after it was read", () => {
    const history = new History(VOLUME);
    const before = acknowledged(history);
    const doubtful = history.begin(CELL, 1, false);
    history.leaveInDoubt(doubtful);
    expect(reading(history, before)).toEqual([]);
    expect(reading(history, doubtful)).toHaveLength(1);

    const another = history.begin(CELL, 1, false);
    history.leaveInDoubt(another);
    expect(reading(history, another)).toEqual([]);
    expect(reading(history, before)).toHaveLength(1);
  });

  test("a write in doubt can't land after a later one was acknowledged", () => {
    const history = new History(VOLUME);
    const doubtful = history.begin(CELL, 1, false);
    history.leaveInDoubt(doubtful);
    const later = acknowledged(history);
    expect(reading(history, later)).toEqual([]);
    expect(reading(history, doubtful)).toHaveLength(1);
  });

  test("of two writes at the same time either may be the last", () => {
    for (const last of [0, 1]) {
      const history = new History(VOLUME);
      const both = [history.begin(CELL, 1, false), history.begin(CELL, 1, false)];
      for (const write of both) history.acknowledge(write);
      expect(reading(history, both[last])).toEqual([]);
      expect(reading(history, both[1 - last])).toHaveLength(1);
    }
  });

  test("a read may see what was replaced while it was under way", () => {
    const history = new History(VOLUME);
    const before = acknowledged(history);
    const read = history.beginRead(CELL, 1);
    acknowledged(history);
    expect(history.endRead(read, encodeCells(VOLUME, CELL, 1, before.sequence))).toEqual([]);
  });

  test("another volume's cell, another place's, and a damaged one are wrong", () => {
    const history = new History(VOLUME);
    const { sequence } = acknowledged(history);
    const damaged = encodeCells(VOLUME, CELL, 1, sequence);
    damaged.writeUInt8(damaged.readUInt8(30) ^ 1, 30);
    for (const data of [encodeCells(8, CELL, 1, sequence), encodeCells(VOLUME, 1, 1, sequence), damaged]) {
      expect(history.endRead(history.beginRead(CELL, 1), data)).toHaveLength(1);
    }
  });

  test("a snapshot holds what was acknowledged before it was asked for, and nothing begun after it was there", () => {
    const settle = (seen: "before" | "during" | "after"): string[] => {
      const history = new History(VOLUME);
      const before = acknowledged(history);
      const instant = history.beginRead(CELL, 1);
      const during = acknowledged(history);
      const until = history.now();
      const after = acknowledged(history);
      const { sequence } = { before, during, after }[seen];
      return history.settle(instant, until, encodeCells(VOLUME, CELL, 1, sequence)).wrong;
    };
    expect(settle("before")).toEqual([]);
    expect(settle("during")).toEqual([]);
    expect(settle("after")).toHaveLength(1);
  });

  test("what was written long ago is forgotten, and told from what never was", () => {
    const history = new History(VOLUME);
    const old = acknowledged(history);
    for (let count = 0; count < 20_000; count += 1) acknowledged(history);
    expect(reading(history, old)[0]).toContain("replaced long ago");
    expect(reading(history, { ...old, sequence: 50_000 })[0]).toContain("never was");
  });
});
