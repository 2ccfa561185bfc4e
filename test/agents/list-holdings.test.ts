import { expect, test } from "vitest";
import { listGenerations, listHoldings } from "../../agents/storage/list-holdings.js";

const inventory = { states: () => [{ pdskid: 1, path: "/d", why: "", capacity: 4 }] };

/** As many volumes, each with so many extents. */
function grantsOf(volumes: number, extents: number) {
  const list = Array.from({ length: extents }, (_, offset) => ({
    dextid: offset + 1,
    pdskid: 1,
    offset,
    capacity: 1,
    generation: 1,
  }));
  const grant = { epoch: 2, hsvrid: 1, version: 1, extents: list };
  return {
    granted: () => Array.from({ length: volumes }, (_, place) => ({ lvolid: place + 1, revoked: 1, grant })),
  };
}

test.each([
  [7, 1_000],
  [3, 20_000],
  [20_000, 0],
  [0, 0],
])("%i volumes with %i extents each are told in answers of a bounded size, each once", (volumes, extents) => {
  const told: number[] = [];
  for (let more = true; more; ) {
    const answer = listHoldings(inventory, grantsOf(volumes, extents), told.at(-1));
    const size = answer.grants.reduce((sum, grant) => sum + grant.extents.length, 0);
    expect(size).toBeLessThanOrEqual(Math.max(5_000, extents));
    expect(answer.disks).toEqual([{ pdskid: 1, path: "/d", served: true, why: "", capacity: 4 }]);
    told.push(...answer.grants.map(({ lvolid }) => lvolid));
    more = answer.more;
  }
  expect(told).toEqual(Array.from({ length: volumes }, (_, place) => place + 1));
});

test("generations of several disks are told in answers of a bounded size, each run once", () => {
  const runs = Array.from({ length: 15_000 }, (_, start) => ({
    start,
    end: start + 1,
    generation: start + 1,
    zeroed: start % 2 === 0,
  }));
  const grants = { generations: () => [1, 5].map((pdskid) => [pdskid, runs] as const) };
  const told: string[] = [];
  let answers = 0;
  for (let last = { pdskid: 0, offset: -1 }, more = true; more; answers += 1) {
    const answer = listGenerations(grants, last);
    told.push(...answer.runs.map(({ pdskid, offset }) => `${pdskid} ${offset}`));
    last = answer.runs.at(-1) ?? last;
    more = answer.more;
  }
  expect(answers).toBe(3);
  expect(told).toHaveLength(30_000);
  expect(new Set(told).size).toBe(30_000);
});
