import { InTurn } from "../../common/in-turn.js";

/** Runs what is done to one thing one after the other, and what is done to different ones at once. */
export class Turns<K> {
  readonly #busy = new Map<K, { readonly turns: InTurn; waiting: number }>();

  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const entry = this.#busy.get(key) ?? { turns: new InTurn(), waiting: 0 };
    this.#busy.set(key, entry);
    entry.waiting += 1;
    try {
      return await entry.turns.run(work);
    } finally {
      entry.waiting -= 1;
      if (entry.waiting === 0) this.#busy.delete(key);
    }
  }
}
