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
/** Writes that are over are kept for the words of a failure, and dropped beyond so many. */
const KEPT_WRITES = 4000;
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

/** A read under way, or the taking of a snapshot: what each cell might hold when it began. */
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
  /** The newest writes, and all that a read under way may see. */
  readonly #byNumber = new Map<number, Write>();
  readonly #reads = new Set<Read>();
  readonly counts = { begun: 0, acknowledged: 0, inDoubt: 0, reads: 0 };

  constructor(readonly volume: number) {}

  begin(first: number, count: number, isZero: boolean): Write {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const write = { sequence, isZero, first, count, began: this.#tick(), ended: NEVER, acknowledged: false };
    this.counts.begun += 1;
    this.#byNumber.set(write.sequence, write);
    if (sequence % KEPT_WRITES === 0) this.#forget();
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
    const read = { first, began: this.#tick(), before };
    this.#reads.add(read);
    return read;
  }

  /** It came to nothing. */
  abandonRead(read: Read): void {
    this.#reads.delete(read);
  }

  /** What begins from now on is not part of a snapshot that has been taken. */
  now(): number {
    return this.#now;
  }

  /**
   * Compares a snapshot, which was taken between the beginning of `read` and `until`, with what the volume could hold then.
   *
   * @returns what is wrong, at most a few sentences, and what each cell was found to hold, for ever after
   */
  settle(read: Read, until: number, data: Buffer): { readonly wrong: string[]; readonly found: Int32Array } {
    this.#reads.delete(read);
    this.counts.reads += 1;
    const wrong: string[] = [];
    const all = new Int32Array(read.before.length);
    for (const [index, before] of read.before.entries()) {
      const cell = read.first + index;
      const found = decodeCell(
        this.volume,
        cell,
        data.subarray(index * CELL_BYTES, (index + 1) * CELL_BYTES),
      );
      all[index] = typeof found === "number" ? found : -1;
      const fits = before.some((write) => (write.isZero ? found === 0 : write.sequence === found));
      if (!fits && !this.#beganDuring(read, cell, found, until) && wrong.length < 3)
        wrong.push(this.#describe(cell, found, before));
    }
    return { wrong, found: all };
  }

  /**
   * Compares what was read with what may be there. What was read of writes that had all ended is what the volume holds
   * from then on: it can't change its mind.
   *
   * @returns what is wrong, at most a few sentences
   */
  endRead(read: Read, data: Buffer): string[] {
    this.#reads.delete(read);
    this.counts.reads += 1;
    const wrong: string[] = [];
    const hasEnded = (write: Write): boolean => write.ended < read.began;
    for (const [index, before] of read.before.entries()) {
      const cell = read.first + index;
      const bytes = data.subarray(index * CELL_BYTES, (index + 1) * CELL_BYTES);
      const found = decodeCell(this.volume, cell, bytes);
      const now = this.#at(cell);
      const isIt = (write: Write): boolean => (write.isZero ? found === 0 : write.sequence === found);
      if (!now.some(isIt) && !before.some(isIt) && !this.#beganDuring(read, cell, found, NEVER)) {
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

  /** It came, and may have been replaced, while the read was under way. */
  #beganDuring(read: Read, cell: number, found: Found, until: number): boolean {
    if (typeof found === "string") return false;
    const isDuring = (began: number): boolean => began > read.began && began <= until;
    if (found !== 0) return isDuring(this.#byNumber.get(found)?.began ?? 0);
    for (const { isZero, began, first, count } of this.#byNumber.values())
      if (isZero && isDuring(began) && first <= cell && cell < first + count) return true;
    return false;
  }

  /** Drops the oldest writes that are over and that no read under way can see. */
  #forget(): void {
    const oldestRead = Math.min(this.#now, ...[...this.#reads].map(({ began }) => began));
    let surplus = this.#byNumber.size - KEPT_WRITES;
    for (const [sequence, write] of this.#byNumber) {
      if (surplus-- <= 0) return;
      if (write.ended < oldestRead) this.#byNumber.delete(sequence);
    }
  }

  #describe(cell: number, found: Found, expected: readonly Write[]): string {
    const what = typeof found === "string" ? found : this.#name(found);
    return `volume ${this.volume} byte ${cell * CELL_BYTES} (cell ${cell}): holds ${what}, may hold ${expected.map(show).join(" or ")}`;
  }
  #name(found: number): string {
    if (found === 0) return "zeros";
    const written = this.#byNumber.get(found);
    return written === undefined && found <= this.#sequence
      ? `write ${found}, replaced long ago`
      : show(written);
  }
}

function show(write: Write | undefined): string {
  if (write === undefined) return "a write that never was";
  const { sequence, isZero, began, ended, acknowledged, first, count } = write;
  const kind = isZero ? "zeros" : "write";
  const how = acknowledged ? "acknowledged" : ended === NEVER ? "under way" : "in doubt";
  return `${kind} ${sequence} (${how}, ${began}–${ended}, cells ${first}+${count})`;
}
