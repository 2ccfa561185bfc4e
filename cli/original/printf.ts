/**
 * The part of C's printf that tables need: `%8s` is aligned to the right and `%-8s` to the left, in at least so many
 * columns. Padding at the end of a line is kept, as printf does.
 */
export function printf(format: string, ...cells: readonly (string | number)[]): string {
  let next = 0;
  return format.replace(/%(-?)(\d*)s/g, (_, left: string, width: string) => {
    const text = String(cells[next++] ?? "");
    return left === "-" ? text.padEnd(Number(width)) : text.padStart(Number(width));
  });
}

/** GB as the original commands show it. */
export const showGb = (gigabytes: number): string => `${gigabytes} GB`;

/** How full something is: a whole percentage, rounded down; 0 where there is no room at all. */
export function showUse(available: number, capacity: number): string {
  const percent = capacity === 0 ? 0 : Math.floor(((capacity - available) * 100) / capacity);
  return `${percent}%`;
}
