/** All that is held at once has used up what there is. */
export class BudgetSpentError extends Error {
  override readonly name = "BudgetSpentError";
}

/**
 * Bytes that many connections may hold together, so that the number of connections times the size of a body is not what the
 * memory must have.
 */
export class ByteBudget {
  #held = 0;

  constructor(private readonly total: number) {}

  /** @throws BudgetSpentError, and then nothing is taken. */
  take(bytes: number): void {
    if (this.#held + bytes > this.total)
      throw new BudgetSpentError("Too many large requests at once; try again.");
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}
