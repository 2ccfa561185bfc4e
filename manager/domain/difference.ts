/** What an agent answered, and what contradicts it in the state. */
export interface Difference {
  readonly sentence: string;
  /**
   * The rows that it was judged by. The state moves on while agents are asked: only what contradicts the same rows before
   * and after an agent was asked is wrong.
   */
  readonly stamp: string;
}

/** Those that were found before and are found again, about the same rows. */
export function foundAgain(before: readonly Difference[], now: readonly Difference[]): Difference[] {
  const keyOf = ({ sentence, stamp }: Difference): string => `${sentence}\n${stamp}`;
  const again = new Set(now.map(keyOf));
  return before.filter((difference) => again.has(keyOf(difference)));
}
