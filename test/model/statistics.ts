/** What was done and seen in a series of runs. */
export class Statistics {
  readonly #counts = new Map<string, Map<string, number>>();

  count(group: "requests" | "steps" | "faults" | "answers" | "reports", kind: string): void {
    const counts = this.#counts.get(group) ?? new Map<string, number>();
    this.#counts.set(group, counts.set(kind, (counts.get(kind) ?? 0) + 1));
  }

  of(group: string, kind: string): number {
    return this.#counts.get(group)?.get(kind) ?? 0;
  }

  /** One line for each group. */
  lines(): string[] {
    return [...this.#counts].map(([group, counts]) => {
      const sum = [...counts.values()].reduce((all, count) => all + count, 0);
      const kinds = [...counts].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${kind} ${count}`);
      return `${group}: ${sum} (${kinds.join(", ")})`;
    });
  }
}
