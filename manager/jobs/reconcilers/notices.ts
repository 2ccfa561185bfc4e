/** What the reconcilers want people to know, a sentence for each cause, for as long as it holds. */
export class Notices {
  readonly #sentences = new Map<string, string>();

  set(cause: string, sentence: string | undefined): void {
    if (sentence === undefined) this.#sentences.delete(cause);
    else this.#sentences.set(cause, sentence);
  }

  /** Forgets all causes that begin so, except those given. */
  keepOnly(prefix: string, causes: ReadonlySet<string>): void {
    for (const cause of this.#sentences.keys()) {
      if (cause.startsWith(prefix) && !causes.has(cause)) this.#sentences.delete(cause);
    }
  }

  list(): string[] {
    return [...new Set(this.#sentences.values())];
  }
}
