import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import {
  type DiskRange,
  freeRangesOf,
  returnRange,
  takeRange,
  takeRanges,
} from "../../manager/store/free-ranges.js";
import type { Store, Tx } from "../../manager/store/open-store.js";
import { Priority } from "../../shared/states.js";
import { temporaryStore } from "./temporary-folder.js";

const CAPACITY = 24;
let store: Store;

beforeEach(async () => {
  store = await temporaryStore();
  await store.transaction(async (tx) => {
    const priority = Priority.HIGH;
    await tx
      .insertInto("storage_server")
      .values({ ssvrid: 1, priority, port: 1, zone: "", silent: 0, lost: 0, evacuating: 0 })
      .execute();
    for (const pdskid of [1, 2, 3]) {
      const rest = {
        ssvrid: 1,
        sectors: 1,
        nbd_port: 1,
        iscsi_name: "",
        generation: 0,
        bad_blocks: 0,
        evacuating: 0,
      } as const;
      await tx
        .insertInto("disk")
        .values({ pdskid, local_path: `/d${pdskid}`, capacity: CAPACITY, priority, ...rest })
        .execute();
      await returnRange(tx, pdskid, 0, CAPACITY);
    }
  });
});

const ranges = (pdskids?: number[]): Promise<DiskRange[]> =>
  store.transaction((tx) => freeRangesOf(tx, pdskids));

test("taking from the middle leaves both sides, and returning it makes them one again", async () => {
  await store.transaction((tx) => takeRange(tx, 1, 10, 4));
  expect(await ranges([1])).toEqual([
    { pdskid: 1, offset: 0, length: 10 },
    { pdskid: 1, offset: 14, length: 10 },
  ]);
  await store.transaction((tx) => returnRange(tx, 1, 10, 4));
  expect(await ranges([1])).toEqual([{ pdskid: 1, offset: 0, length: CAPACITY }]);
});

test("a range that is taken as a whole is there no more", async () => {
  await store.transaction((tx) => takeRange(tx, 1, 10, 4));
  await store.transaction((tx) => takeRange(tx, 1, 0, 10));
  expect(await ranges([1])).toEqual([{ pdskid: 1, offset: 14, length: 10 }]);
});

test("a defect is not covered up: taking what is not free, returning what is free", async () => {
  await store.transaction((tx) => takeRange(tx, 1, 4, 4));
  for (const [offset, length] of [
    [4, 1],
    [3, 2],
    [7, 2],
    [20, 5],
    [0, 0],
  ] as const) {
    await expect(store.transaction((tx) => takeRange(tx, 1, offset, length))).rejects.toThrow(
      /is not wholly free/,
    );
  }
  for (const [offset, length] of [
    [0, 1],
    [3, 2],
    [7, 2],
    [2, 8],
    [4, 0],
  ] as const) {
    await expect(store.transaction((tx) => returnRange(tx, 1, offset, length))).rejects.toThrow(
      /free already/,
    );
  }
  expect(await ranges([1])).toHaveLength(2);
});

test("many ranges of several disks are taken at once", async () => {
  await store.transaction((tx) =>
    takeRanges(tx, [
      { pdskid: 2, offset: 3, length: 3 },
      { pdskid: 1, offset: 0, length: 1 },
      { pdskid: 2, offset: 0, length: 3 },
      { pdskid: 2, offset: 10, length: 1 },
    ]),
  );
  expect(await ranges([2, 1, 2])).toEqual([
    { pdskid: 1, offset: 1, length: 23 },
    { pdskid: 2, offset: 6, length: 4 },
    { pdskid: 2, offset: 11, length: 13 },
  ]);
  expect(await ranges()).toHaveLength(4);
});

/** The model: one bit per gigabyte. */
class BitDisk {
  readonly free = Array.from({ length: CAPACITY }, () => true);

  is(free: boolean, offset: number, length: number): boolean {
    return (
      offset + length <= CAPACITY && this.free.slice(offset, offset + length).every((bit) => bit === free)
    );
  }

  ranges(pdskid: number): DiskRange[] {
    const found: DiskRange[] = [];
    for (const [offset, bit] of this.free.entries()) {
      if (!bit) continue;
      const last = found.at(-1);
      if (last && last.offset + last.length === offset)
        found[found.length - 1] = { ...last, length: last.length + 1 };
      else found.push({ pdskid, offset, length: 1 });
    }
    return found;
  }
}

test("free ranges are those of an array of bits, after any takes and returns", async () => {
  const step = fc.record({
    take: fc.boolean(),
    offset: fc.nat(CAPACITY - 1),
    length: fc.integer({ min: 1, max: 8 }),
  });
  type Step = { readonly take: boolean; readonly offset: number; readonly length: number };
  const apply = async (tx: Tx, disks: BitDisk, { take, offset, length }: Step) => {
    const allowed = disks.is(take, offset, length);
    // Space beyond the disk is not in the ranges' power to know; the model never returns any.
    if (!take && offset + length > CAPACITY) return;
    const run = (take ? takeRange : returnRange)(tx, 3, offset, length);
    if (!allowed) {
      await expect(run).rejects.toThrow();
      return;
    }
    await run;
    disks.free.fill(!take, offset, offset + length);
  };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const disks = new BitDisk();
      await store.db.deleteFrom("free_range").where("pdskid", "=", 3).execute();
      await store.transaction((tx) => returnRange(tx, 3, 0, CAPACITY));
      for (const one of steps) {
        await store.transaction((tx) => apply(tx, disks, one));
        expect(await ranges([3])).toEqual(disks.ranges(3));
      }
    }),
    { numRuns: 60 },
  );
});
