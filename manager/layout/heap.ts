/** A binary heap: gives out the best item first. `isBetter` must be a strict total order. */
export class Heap<T> {
  readonly #items: T[];

  constructor(
    items: readonly T[],
    readonly isBetter: (a: T, b: T) => boolean,
  ) {
    this.#items = [...items];
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(this.#items.length - 1);
  }

  pop(): T | undefined {
    const best = this.#items[0];
    const last = this.#items.pop();
    if (last !== undefined && this.#items.length > 0) {
      this.#items[0] = last;
      this.#sink(0);
    }
    return best;
  }

  /** Restores the order after the best item has got worse. */
  sinkBest(): void {
    if (this.#items.length > 0) this.#sink(0);
  }

  #rise(start: number): void {
    const items = this.#items;
    const item = items[start] as T;
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] as T;
      if (!this.isBetter(item, above)) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  #sink(start: number): void {
    const items = this.#items;
    const item = items[start] as T;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      // Indices below the length are items: the casts say so.
      if (child + 1 < items.length && this.isBetter(items[child + 1] as T, items[child] as T)) child++;
      const below = items[child] as T;
      if (!this.isBetter(below, item)) break;
      items[at] = below;
      at = child;
    }
    items[at] = item;
  }
}
