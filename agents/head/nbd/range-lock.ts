/**
 * Whoever wants a range of bytes for itself. `granted` is called once, when no earlier wish for an overlapping range is
 * left, possibly within `acquire`.
 */
export abstract class RangeHolder {
  /** Earlier holders that overlap and have not released yet. Owned by the lock. */
  blockers = 0;
  /** Later holders that wait for this one. Owned by the lock. */
  blocked: RangeHolder[] | undefined;
  /** Place in the lock's list. Owned by the lock. */
  place = -1;

  constructor(
    readonly start: number,
    readonly end: number,
  ) {}

  abstract granted(): void;
}

/**
 * Serialises overlapping ranges in the order in which they are asked for. A wish is compared with all that are held or
 * waiting, without an index: at 16 to 64 under way that is cheaper than any tree.
 */
export class RangeLock {
  readonly #holders: RangeHolder[] = [];

  get size(): number {
    return this.#holders.length;
  }

  acquire(holder: RangeHolder): void {
    const holders = this.#holders;
    const { start, end } = holder;
    for (let at = 0; at < holders.length; at += 1) {
      const other = holders[at] as RangeHolder; // below length, so there
      if (other.end <= start || other.start >= end) continue;
      holder.blockers += 1;
      if (other.blocked === undefined) other.blocked = [holder];
      else other.blocked.push(holder);
    }
    holder.place = holders.length;
    holders.push(holder);
    if (holder.blockers === 0) holder.granted();
  }

  /** Releases a range that was granted. */
  release(holder: RangeHolder): void {
    const last = this.#holders.pop() as RangeHolder; // the holder itself is in the list
    if (last !== holder) {
      this.#holders[holder.place] = last;
      last.place = holder.place;
    }
    const blocked = holder.blocked;
    if (blocked === undefined) return;
    holder.blocked = undefined;
    for (const other of blocked) {
      other.blockers -= 1;
      if (other.blockers === 0) other.granted();
    }
  }
}
