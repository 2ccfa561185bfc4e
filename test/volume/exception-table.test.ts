import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BITMAP_BYTES,
  BLOCK_BYTES,
  CHUNKS_PER_BLOCK,
  decodeBlock,
  decodeSuperblock,
  encodeBlock,
  encodeSuperblock,
  PAIR_BYTES,
  spaceGeometry,
} from "../../agents/head/nbd/exception-table.js";
import { ExceptionWriter } from "../../agents/head/nbd/exception-writer.js";
import { KeptChunks } from "../../agents/head/nbd/kept-chunks.js";
import { getBit } from "../../agents/head/nbd/write-intent.js";
import { SNAPSHOT_CHUNK_BYTES, snapshotCapacity } from "../../shared/snapshot-space.js";
import { GIB, MIB } from "../../shared/units.js";
import { seed } from "../harness/random-data.js";

const owner = { lvolid: 7, block: 3 };
const body = fc.uint8Array({ minLength: BITMAP_BYTES, maxLength: BITMAP_BYTES });
const blank = Buffer.alloc(BLOCK_BYTES);

test("a block is read as it was written, and a torn newer slot leaves the older, whichever is which", () => {
  fc.assert(
    fc.property(body, body, fc.nat(BLOCK_BYTES - 1), fc.boolean(), (older, newer, at, isSwapped) => {
      const a = encodeBlock(owner, 7, older);
      const b = encodeBlock(owner, 8, newer);
      const pair = (first: Buffer, second: Buffer) =>
        Buffer.concat(isSwapped ? [second, first] : [first, second]);
      expect(decodeBlock(owner, pair(a, b))).toEqual({ slot: isSwapped ? 0 : 1, sequence: 8, body: newer });
      const torn = Buffer.from(b);
      torn[at] = ~(torn[at] ?? 0);
      expect(decodeBlock(owner, pair(a, torn))).toEqual({
        slot: isSwapped ? 1 : 0,
        sequence: 7,
        body: older,
      });
    }),
    { seed },
  );
});

test("a slot of which only a part was written, over an older one or over zeros, is none", () => {
  fc.assert(
    fc.property(
      body,
      body,
      fc.integer({ min: 1, max: BLOCK_BYTES - 1 }),
      fc.boolean(),
      (before, after, cut, isFresh) => {
        const old = isFresh ? blank : encodeBlock(owner, 6, before);
        const mixed = Buffer.concat([encodeBlock(owner, 8, after).subarray(0, cut), old.subarray(cut)]);
        fc.pre(!mixed.equals(old) && !mixed.equals(encodeBlock(owner, 8, after)));
        expect(decodeBlock(owner, Buffer.concat([mixed, blank]))).toBeUndefined();
      },
    ),
    { seed },
  );
});

test("a block of another snapshot or place is none, and neither is what is blank", () => {
  const pair = Buffer.concat([encodeBlock(owner, 1, new Uint8Array(0)), blank]);
  expect(decodeBlock(owner, pair)).toMatchObject({ sequence: 1, slot: 0 });
  expect(decodeBlock({ ...owner, lvolid: 8 }, pair)).toBeUndefined();
  expect(decodeBlock({ ...owner, block: 4 }, pair)).toBeUndefined();
  expect(decodeBlock(owner, Buffer.alloc(PAIR_BYTES))).toBeUndefined();
});

test("a superblock is read as it was written", () => {
  for (const notBlank of [true, false]) {
    const superblock = { slot: 1, sequence: 9, originBytes: 2 ** 50, chunkBytes: 16_384, notBlank } as const;
    const pair = Buffer.concat([blank, encodeSuperblock(7, superblock)]);
    expect(decodeSuperblock(7, pair)).toEqual(superblock);
    expect(decodeSuperblock(8, pair)).toBeUndefined();
  }
});

test("table and data lie in the space one behind the other, and the space is large enough for any volume", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_048_576 }), (gigabytes) => {
      const { chunks, blocks, dataStart, end } = spaceGeometry(gigabytes * GIB);
      expect(chunks * SNAPSHOT_CHUNK_BYTES).toBe(gigabytes * GIB);
      expect((blocks - 1) * CHUNKS_PER_BLOCK).toBeGreaterThanOrEqual(chunks);
      expect(dataStart).toBeGreaterThanOrEqual(blocks * PAIR_BYTES);
      expect(dataStart % MIB).toBe(0);
      expect(end).toBeLessThanOrEqual(snapshotCapacity(gigabytes) * GIB);
    }),
    { seed },
  );
});

test("the set of kept chunks agrees with a plain set, across the borders of its pieces", () => {
  const far = 70_000 * CHUNKS_PER_BLOCK; // beyond 2^31 chunks
  const run = fc.record({
    base: fc.constantFrom(0, CHUNKS_PER_BLOCK - 20, far - 20),
    first: fc.nat(40),
    length: fc.integer({ min: 1, max: 12 }),
  });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 20 }), run, (added, asked) => {
      const kept = new KeptChunks();
      const plain = new Set<number>();
      for (const { base, first, length } of added) {
        kept.add({ first: base + first, end: base + first + length });
        for (let chunk = base + first; chunk < base + first + length; chunk += 1) plain.add(chunk);
      }
      expect(kept.count).toBe(plain.size);
      const from = asked.base + asked.first;
      const whole = { first: from, end: from + asked.length };
      const chunks = Array.from({ length: asked.length }, (_, at) => from + at);
      expect(kept.hasAll(whole)).toBe(chunks.every((chunk) => plain.has(chunk)));
      const cut = kept.cut(whole);
      for (const { first, end, isKept } of cut) {
        for (let chunk = first; chunk < end; chunk += 1) expect(plain.has(chunk)).toBe(isKept);
      }
      expect(cut.map(({ first }) => first)).toEqual([from, ...cut.slice(0, -1).map(({ end }) => end)]);
      expect(cut.at(-1)?.end).toBe(whole.end);
    }),
    { seed },
  );
});

test("a commit ends when a written block names its chunks, and those who wait share one write", async () => {
  const written: { readonly slot: number; readonly bytes: Buffer; readonly end: () => void }[] = [];
  const writer = new ExceptionWriter(7, (offset, bytes) => {
    const slot = (offset % PAIR_BYTES) / BLOCK_BYTES;
    return new Promise((end) => written.push({ slot, bytes, end }));
  });
  writer.adopt(0, { slot: 0, sequence: 1, body: new Uint8Array(BITMAP_BYTES) });
  const done: number[] = [];
  const commit = (chunk: number) =>
    writer.commit({ first: chunk, end: chunk + 1 }).then(() => done.push(chunk));
  const first = commit(0);
  await new Promise(setImmediate);
  expect(written).toHaveLength(1);
  const later = [1, 2, 3].map(commit);
  await new Promise(setImmediate);
  expect(written).toHaveLength(1);
  written[0]?.end();
  await first;
  await new Promise(setImmediate);
  expect(done).toEqual([0]);
  expect(written.map(({ slot }) => slot)).toEqual([1, 0]);
  const pair = Buffer.concat([written[1]?.bytes ?? blank, written[0]?.bytes ?? blank]);
  const newest = decodeBlock({ lvolid: 7, block: 1 }, pair);
  expect(newest).toMatchObject({ slot: 0, sequence: 3 });
  for (const chunk of [0, 1, 2, 3]) expect(getBit(newest?.body ?? blank, chunk)).toBe(true);
  written[1]?.end();
  await Promise.all(later);
  expect(written).toHaveLength(2);
});
