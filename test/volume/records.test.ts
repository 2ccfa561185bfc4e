import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeRecord, encodeRecord, slotBytes } from "../../agents/head/nbd/member-record.js";
import { RangeHolder, RangeLock } from "../../agents/head/nbd/range-lock.js";
import { getBit, regionsToCopy, setBits, WriteIntent } from "../../agents/head/nbd/write-intent.js";
import { MIB } from "../../shared/units.js";
import { seed } from "../harness/random-data.js";

const REGION = 16 * MIB;
const owner = { lvolid: 1, mirrorid: 2, dextid: 3, extentGeneration: 4 };
const bits = fc.uint8Array({ minLength: 16, maxLength: 16 });
const generation = fc.integer({ min: 0, max: 1000 });
const content = fc.record({ dataGeneration: generation, since: generation, bits });

test("a record is read as it was written, and a torn newer slot leaves the older", () => {
  fc.assert(
    fc.property(content, content, fc.nat(slotBytes(2) - 1), (older, newer, at) => {
      const a = encodeRecord(owner, older, 7, 2);
      const b = encodeRecord(owner, newer, 8, 2);
      expect(decodeRecord(owner, [a, b], 2)).toMatchObject({ slot: 1, sequence: 8, ...newer });
      const torn = Buffer.from(b);
      torn[at] = ~(torn[at] ?? 0);
      expect(decodeRecord(owner, [a, torn], 2)).toMatchObject({ slot: 0, sequence: 7, ...older });
    }),
    { seed },
  );
});

test("a record of another owner or an earlier generation of the extent is none", () => {
  const blank = Buffer.alloc(slotBytes(2));
  const slot = encodeRecord(owner, { dataGeneration: 1, since: 1, bits: new Uint8Array(16) }, 1, 2);
  expect(decodeRecord(owner, [blank, blank], 2)).toBeUndefined();
  expect(decodeRecord(owner, [blank, slot], 2)).toBeDefined();
  for (const key of ["lvolid", "mirrorid", "dextid", "extentGeneration"] as const) {
    expect(decodeRecord({ ...owner, [key]: 99 }, [slot, blank], 2)).toBeUndefined();
  }
});

test("a returning member gets the union of both bitmaps if its generation is covered, else everything", () => {
  fc.assert(
    fc.property(content, content, (mirror, member) => {
      const copied = regionsToCopy(mirror, member, 128);
      for (let region = 0; region < 128; region += 1) {
        const isIn = getBit(mirror.bits, region) || getBit(member.bits, region);
        expect(getBit(copied, region)).toBe(isIn || member.dataGeneration < mirror.since);
      }
      expect(setBits(regionsToCopy(mirror, undefined, 128))).toHaveLength(128);
    }),
    { seed },
  );
});

test("bits of regions with a write under way, or written since the flush began, are never cleared", () => {
  const step = fc.record({ kind: fc.constantFrom("begin", "end", "sweep", "flushed"), region: fc.nat(7) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const intent = new WriteIntent(8);
      const underWay: number[] = [];
      let dirty = new Set<number>();
      let candidates: Uint8Array | undefined;
      for (const { kind, region } of steps) {
        if (kind === "begin") {
          intent.begin(region * REGION, 4096);
          underWay.push(region);
          dirty.add(region);
        } else if (kind === "end") {
          const ended = underWay.shift();
          if (ended !== undefined) intent.end(ended * REGION, 4096);
        } else if (kind === "sweep") {
          candidates = intent.beginSweep(0);
          dirty = new Set(underWay);
        } else if (candidates !== undefined) {
          intent.endSweep(candidates);
          candidates = undefined;
        }
        for (const held of new Set([...underWay, ...dirty])) expect(getBit(intent.marked, held)).toBe(true);
      }
    }),
    { seed },
  );
});

test("a write to a region must wait until its bit is confirmed", () => {
  const intent = new WriteIntent(8);
  expect(intent.begin(REGION - 1, 2)).toBe(false);
  expect(setBits(intent.marked)).toEqual([0, 1]);
  expect(intent.begin(0, 1)).toBe(false);
  intent.confirm(intent.marked.slice());
  expect(intent.begin(0, 2 * REGION)).toBe(true);
  expect(intent.begin(0, 2 * REGION + 1)).toBe(false);
});

class Holder extends RangeHolder {
  isGranted = false;
  override granted(): void {
    this.isGranted = true;
  }
}

test("overlapping ranges are granted one at a time, in order, and nobody waits for nothing", () => {
  const range = fc.record({ start: fc.nat(50), length: fc.integer({ min: 1, max: 20 }), release: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 80 }), (wishes) => {
      const lock = new RangeLock();
      const live: Holder[] = [];
      const check = (): void => {
        for (const [at, holder] of live.entries()) {
          const isBlocked = live
            .slice(0, at)
            .some((other) => other.start < holder.end && other.end > holder.start);
          expect(holder.isGranted).toBe(!isBlocked);
        }
      };
      for (const { start, length, release } of wishes) {
        const holder = new Holder(start, start + length);
        live.push(holder);
        lock.acquire(holder);
        check();
        const granted = live.filter(({ isGranted }) => isGranted);
        const victim = granted[release];
        if (victim === undefined) continue;
        live.splice(live.indexOf(victim), 1);
        lock.release(victim);
        check();
      }
      expect(lock.size).toBe(live.length);
    }),
    { seed },
  );
});
