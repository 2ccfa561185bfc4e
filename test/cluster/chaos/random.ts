/** Random numbers that are the same for the same seed and name. */
export class Random {
  #state: number;

  constructor(seed: number, name: string) {
    this.#state = seed >>> 0;
    for (const character of name) this.#state = (Math.imul(this.#state, 31) + character.charCodeAt(0)) >>> 0;
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.next() * items.length)];
  }

  /** One of these, each as probable as its weight. */
  weighted<T extends { readonly weight: number }>(items: readonly T[]): T | undefined {
    let left = this.next() * items.reduce((sum, { weight }) => sum + weight, 0);
    return items.find(({ weight }) => {
      left -= weight;
      return left < 0;
    });
  }
}
