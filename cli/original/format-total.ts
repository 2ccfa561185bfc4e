import { printf, showGb, showUse } from "./printf.js";

interface Room {
  readonly capacity: number;
  readonly available: number;
}

/** The line above the lists of disks and of storage servers: the room of all of them together. */
export function formatTotal(parts: readonly Room[]): string {
  const total = parts.reduce((sum, { capacity }) => sum + capacity, 0);
  const available = parts.reduce((sum, part) => sum + part.available, 0);
  return printf(
    "%-14s %-14s %-14s",
    `total ${showGb(total)}`,
    `available ${showGb(available)}`,
    `use% ${showUse(available, total)}`,
  );
}
