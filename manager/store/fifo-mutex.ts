/**
 * A lock that is granted in the order in which it was asked for, so that no transaction starves behind a stream of
 * short ones. `unlock` hands over to the next waiter without becoming free in between.
 */
export class FifoMutex {
  readonly #waiting: (() => void)[] = [];
  #held = false;

  /** Resolves when the caller holds the lock; it must call `unlock` exactly once. */
  lock(): Promise<void> {
    if (!this.#held) {
      this.#held = true;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  unlock(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#held = false;
    else next();
  }
}
