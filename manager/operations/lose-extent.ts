import { dropDetached, markLost } from "../store/lost-extents.js";
import type { Tx } from "../store/open-store.js";

/**
 * Part of an operation: a person or a monitor declares members failed. An attached volume's head stops using them first,
 * and says so (R2); a detached one has nobody to ask, and loses them now, if a sound copy stays (D3). What follows is derived
 * from the state by the reconcilers. Repeating it changes nothing.
 *
 * @returns those of which it was not known; extents that belong to no mirror are not among them.
 */
export async function loseExtents(tx: Tx, dextids: readonly number[]): Promise<number[]> {
  const lost = await markLost(tx, dextids);
  if (lost.length > 0) await dropDetached(tx, lost);
  return lost;
}
