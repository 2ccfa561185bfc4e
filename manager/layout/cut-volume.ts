import type { Gigabytes } from "../../shared/units.js";

/**
 * Cuts a capacity into mirror lengths, largest first: 1,003 GB with sizes [10, 1] is 100 times 10 and 3 times 1.
 *
 * @param sizes of mirrors in GB, in any order. With 1 among them nothing remains.
 * @returns lengths that never rise, with a sum of `capacity`, or less by what no size fits into.
 */
export function cutVolume(capacity: Gigabytes, sizes: readonly Gigabytes[]): Gigabytes[] {
  const lengths: Gigabytes[] = [];
  let rest = capacity;
  for (const size of sizes.toSorted((a, b) => b - a)) {
    const count = Math.floor(rest / size);
    for (let at = 0; at < count; at++) lengths.push(size);
    rest -= count * size;
  }
  return lengths;
}
