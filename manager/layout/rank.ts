import type { Gigabytes } from "../../shared/units.js";
import type { Load, Weight } from "./weights.js";

/** Something with its weights worked out, in the order in which they count. */
export interface Ranked {
  readonly keys: readonly number[];
}

export function rank(load: Load, length: Gigabytes, weights: readonly Weight[]): number[] {
  return weights.map((weight) => weight(load, length));
}

/** The first key that differs decides. */
export function isBetter(a: Ranked, b: Ranked): boolean {
  for (let at = 0; at < a.keys.length; at++) {
    // Both have been ranked by the same weights.
    const difference = (a.keys[at] as number) - (b.keys[at] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
