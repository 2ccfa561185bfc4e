import { CELL_BYTES, decodeCell, type Found } from "./cells.js";

/** One write, trim or write of zeroes, in logical time. */
export interface Write {
  /** Stands in the cells; zeros are told from others by `isZero`. */
  readonly sequence: number;
  readonly isZero: boolean;
  readonly first: number;
  readonly count: number;
  readonly began: number;
  /** From then on it can't take effect any more: it was answered, or whoever had it can't write any more. */
  ended: number;
  acknowledged: boolean;
}

const NEVER = Number.POSITIVE_INFINITY;
const INITIAL: Write = {
  sequence: 0,
  isZero: true,
  first: 0,
  count: 0,
  began: 0,
  ended: 0,
  acknowledged: true,
};
const FRESH: readonly Write[] = [INITIAL];

/** A read under way: what each cell might hold when it began. */
export interface Read {
  readonly first: number;
  readonly began: number;
  readonly before: readonly (readonly Write[])[];
}

/**
 * What a volume may hold, cell by cell: an acknowledged write replaces all that had ended before it began, and one in
 * doubt – without an answer – may have landed or not. Each cell is a register that must be linearizable.
 */
export class History {
  #now = 0;
  #sequence = 0;
  /** Writes that each cell may hold. The lists are never changed, but replaced. */
  readonly #cells = new Map<number, readonly Write[]>();
  readonly #byNumber = new Map<number, Write>();
  readonly counts = { acknowledged: 0, inDoubt: 0, reads: 0 };

  constructor(readonly volume: number) {}

  begin(first: number, count: number, isZero: boolean): Write {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const write = { sequence, isZero, first, count, began: this.#tick(), ended: NEVER, acknowledged: false };
    this.#byNumber.set(write.sequence, write);
    for (let cell = first; cell < first + count; cell += 1) this.#cells.set(cell, [...this.#at(cell), write]);
    return write;
  }

  acknowledge(write: Write): void {
    if (write.ended !== NEVER) return;
    write.ended = this.#tick();
    write.acknowledged = true;
    this.counts.acknowledged += 1;
    for (let cell = write.first; cell < write.first + write.count; cell += 1) {
      const left = this.#at(cell).filter((other) => other === write || other.ended >= write.began);
      this.#cells.set(cell, left);
    }
  }

  /** It was not answered, and from now on it can't land any more. */
  leaveInDoubt(write: Write): void {
    if (write.ended !== NEVER) return;
    write.ended = this.#tick();
    this.counts.inDoubt += 1;
  }

  beginRead(first: number, count: number): Read {
    const before = Array.from({ length: count }, (_, index) => this.#at(first + index));
    return { first, began: this.#tick(), before };
  }

  /**
   * Compares what was read with what may be there. What was read of writes that had all ended is what the volume holds
   * from then on: it can't change its mind.
   *
   * @returns what is wrong, at most a few sentences
   */
  endRead(read: Read, data: Buffer): string[] {
    this.counts.reads += 1;
    const wrong: string[] = [];
    const hasEnded = (write: Write): boolean => write.ended < read.began;
    for (const [index, before] of read.before.entries()) {
      const cell = read.first + index;
      const bytes = data.subarray(index * CELL_BYTES, (index + 1) * CELL_BYTES);
      const found = decodeCell(this.volume, cell, bytes);
      const now = this.#at(cell);
      const isIt = (write: Write): boolean => (write.isZero ? found === 0 : write.sequence === found);
      if (!now.some(isIt) && !before.some(isIt) && !this.#beganDuring(read, cell, found)) {
        if (wrong.length < 3) wrong.push(this.#describe(cell, found, now));
      } else if (now === before && now.length > 1 && now.every((write) => !isIt(write) || hasEnded(write))) {
        const left = now.filter((write) => isIt(write) || !hasEnded(write));
        this.#cells.set(cell, left);
      }
    }
    return wrong;
  }

  #tick(): number {
    this.#now += 1;
    return this.#now;
  }

  #at(cell: number): readonly Write[] {
    return this.#cells.get(cell) ?? FRESH;
  }

  /** It came and was replaced while the read was under way. */
  #beganDuring(read: Read, cell: number, found: Found): boolean {
    if (typeof found === "string") return false;
    if (found !== 0) return (this.#byNumber.get(found)?.began ?? 0) > read.began;
    return [...this.#byNumber.values()].some(
      ({ isZero, began, first, count }) =>
        isZero && began > read.began && first <= cell && cell < first + count,
    );
  }

  #describe(cell: number, found: Found, expected: readonly Write[]): string {
    const written = typeof found === "number" ? this.#byNumber.get(found) : undefined;
    const what = typeof found === "string" ? found : found === 0 ? "zeros" : show(written);
    return `volume ${this.volume} byte ${cell * CELL_BYTES} (cell ${cell}): holds ${what}, may hold ${expected.map(show).join(" or ")}`;
  }
}

function show(write: Write | undefined): string {
  if (write === undefined) return "a write that never was";
  const { sequence, isZero, began, ended, acknowledged, first, count } = write;
  const kind = isZero ? "zeros" : "write";
  const how = acknowledged ? "acknowledged" : ended === NEVER ? "under way" : "in doubt";
  return `${kind} ${sequence} (${how}, ${began}–${ended}, cells ${first}+${count})`;
}
