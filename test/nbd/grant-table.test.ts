import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseExportName } from "../../agents/storage/nbd/export-name.js";
import { GrantedExtents, GrantTable } from "../../agents/storage/nbd/grant-table.js";
import { type Admitted, Incarnations } from "../../agents/storage/nbd/incarnations.js";

describe("granted extents", () => {
  it("allow exactly the requests that lie within one of them", () => {
    const pieces = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 20 })), { maxLength: 12 });
    fc.assert(
      fc.property(
        pieces,
        fc.nat(500),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(11),
        (gaps, offset, length, turn) => {
          let at = 0;
          const extents = gaps.map(([gap, size]) => {
            const start = at + gap;
            at = start + size;
            return { start, end: at };
          });
          const expected = extents.some(({ start, end }) => start <= offset && offset + length <= end);
          const shuffled = [...extents.slice(turn), ...extents.slice(0, turn)];
          expect(new GrantedExtents(shuffled).covers(offset, length)).toBe(expected);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("are refused when they overlap", () => {
    const overlapping = [
      { start: 10, end: 20 },
      { start: 0, end: 11 },
    ];
    expect(() => new GrantedExtents(overlapping)).toThrow("overlap at byte 10");
  });
});

describe("the grant table", () => {
  const extents = [{ start: 0, end: 10, dextid: 5 }];

  it("knows a volume by its epoch, and grants nothing at or below a revoked one", () => {
    const table = new GrantTable({
      grants: [
        { lvolid: 1, epoch: 3, extents },
        { lvolid: 2, epoch: 3, extents },
        { lvolid: 3, epoch: 3, extents: [] },
      ],
      revoked: [
        { lvolid: 2, epoch: 3 },
        { lvolid: 2, epoch: 1 },
        { lvolid: 1, epoch: 2 },
      ],
    });
    expect(table.extentsOf(1, 3)?.covers(0, 10)).toBe(true);
    for (const epoch of [2, 4]) expect(table.extentsOf(1, epoch)).toBeUndefined();
    expect(table.extentsOf(2, 3)).toBeUndefined();
    expect(table.extentsOf(3, 3)?.covers(0, 1)).toBe(false);
  });

  it.each([
    [undefined],
    [{}],
    [{ grants: [{ lvolid: 0, epoch: 1, extents }], revoked: [] }],
    [{ grants: [{ lvolid: 1, epoch: -1, extents }], revoked: [] }],
    [{ grants: [{ lvolid: 1, epoch: 1, extents: [{ start: 5, end: 5, dextid: 1 }] }], revoked: [] }],
    [{ grants: [{ lvolid: 1, epoch: 1, extents: [{ start: "0", end: 5, dextid: 1 }] }], revoked: [] }],
  ])("refuses a document that says something else: %j", (document) => {
    expect(() => new GrantTable(document)).toThrow("EINVAL");
  });
});

describe("the name of an export", () => {
  it.each([
    ["pdsk-0000000a/lvol-0000001f/7/3", { lvolid: 31, epoch: 7, incarnation: 3 }],
    ["pdsk-0000000a/lvol-0000001f/7", { lvolid: 31, epoch: 7, incarnation: 0 }],
    ["pdsk-0000000b/lvol-0000001f/7", "other disk"],
    ["", "other disk"],
    ["pdsk-0000000a", "no claim"],
    ["pdsk-0000000a/", "no claim"],
    ["pdsk-0000000a/lvol-0000001f", "no claim"],
    ["pdsk-0000000a/lvol-0000001f/-1", "no claim"],
    ["pdsk-0000000a/lvol-0000001f/7/3/1", "no claim"],
    ["pdsk-0000000a/lvol-0000001f/7/", "no claim"],
    ["pdsk-0000000a/lvol-00000000/7", "no claim"],
    ["pdsk-0000000a/lvol-ffffffff/7", "no claim"],
    ["pdsk-0000000a/lvol-0000001f/9999999999999999", "no claim"],
    ["pdsk-0000000a/lvol-0000001f/7\n", "no claim"],
  ])("%j is read as %j", (name, expected) => {
    expect(parseExportName(name, 10)).toEqual(expected);
  });
});

describe("incarnations", () => {
  const member = (lvolid: number, epoch: number, incarnation: number, closed: string[]): Admitted => ({
    claim: { lvolid, epoch, incarnation },
    remote: "",
    close: () => closed.push(`${lvolid}/${epoch}/${incarnation}`),
  });

  it("close the lower ones of their volume, keep their equals, and refuse what is lower", () => {
    const closed: string[] = [];
    const known = new Incarnations();
    for (const [lvolid, incarnation] of [
      [1, 4],
      [1, 4],
      [2, 1],
      [1, 5],
    ] as const) {
      expect(known.admit(member(lvolid, 1, incarnation, closed))).toBe(true);
    }
    expect(closed).toEqual(["1/1/4", "1/1/4"]);
    expect(known.admit(member(1, 1, 4, closed))).toBe(false);
    // A new epoch counts anew.
    expect(known.admit(member(1, 2, 0, closed))).toBe(true);
    expect(known.list()).toHaveLength(3);
  });

  it("are remembered after their connection has ended, and forgotten with their grant", () => {
    const known = new Incarnations();
    const first = member(1, 1, 9, []);
    known.admit(first);
    known.left(first);
    expect(known.admit(member(1, 1, 8, []))).toBe(false);
    known.forgetWhere((lvolid, epoch) => lvolid === 1 && epoch === 1);
    expect(known.admit(member(1, 1, 8, []))).toBe(true);
  });
});
