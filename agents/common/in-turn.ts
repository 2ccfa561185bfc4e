/** Runs pieces of work one after the other, in the order in which they were given; a failed one does not stop the next. */
export class InTurn {
  #last: Promise<unknown> = Promise.resolve();

  /** @returns what the work returns, or rejects as it does, once its turn came and it ended */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
