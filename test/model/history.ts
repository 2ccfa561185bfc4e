/** What is written and verified as a unit; a disk writes it wholly or not at all. */
export const SECTOR = 512;

/** A write, trim or write of zeroes that was asked for. Times are ticks of the history. */
export interface Change {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly begin: number;
  /** When it was answered: it has happened by then. Infinity if nobody knows. */
  end: number;
  /** It survives a power cut: answered, and FUA or followed by a flush. */
  isDurable: boolean;
  /** For the report of a failure. */
  readonly name: string;
}

/** An interval of ticks in which something was looked at. */
export interface Moment {
  readonly from: number;
  readonly to: number;
}

/** A part of the volume, in bytes. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/**
 * What each sector of a few ranges may hold. A change may be seen from when it was asked for until one is answered that was
 * asked for after its own answer. Where changes overlap and neither waited for the other, either may be the last – but
 * not a mixture of both.
 */
export class History {
  readonly #sectors = new Map<number, Change[]>();
  readonly #unflushed = new Set<Change>();
  readonly #doubtful = new Set<Change>();
  #tick = 1;

  constructor(readonly ranges: readonly Range[]) {
    for (const range of ranges) this.#put(settledAt(0, range.start, Buffer.alloc(range.length)));
  }

  /** The next tick. */
  now(): number {
    this.#tick += 1;
    return this.#tick;
  }

  begin(offset: number, bytes: Buffer, name: string): Change {
    const change = { offset, bytes, begin: this.now(), end: Infinity, isDurable: false, name };
    this.#put(change);
    this.#doubtful.add(change);
    return change;
  }

  end(change: Change, isDurable: boolean): void {
    change.end = this.now();
    change.isDurable = isDurable;
    this.#doubtful.delete(change);
    if (!isDurable) this.#unflushed.add(change);
  }

  /** A flush that was asked for at this tick was answered. */
  flushed(asked: number): void {
    for (const change of this.#unflushed) {
      if (change.end >= asked) continue;
      change.isDurable = true;
      this.#unflushed.delete(change);
    }
  }

  /** Whether a change of this sector has not been answered. */
  isBusy(sector: number): boolean {
    return this.#of(sector).some(({ end }) => end === Infinity);
  }

  /**
   * Compares what was read at some time of the moment.
   *
   * @param afterCut since the last look the power was cut: what was answered counts only if it was durable
   * @returns what is wrong; undefined if nothing is
   */
  check(offset: number, read: Buffer, moment: Moment, afterCut = false): string | undefined {
    for (let sector = Math.floor(offset / SECTOR); sector * SECTOR < offset + read.length; sector += 1) {
      const from = Math.max(offset, sector * SECTOR);
      const to = Math.min(offset + read.length, (sector + 1) * SECTOR);
      const bytes = read.subarray(from - offset, to - offset);
      const known = this.#of(sector).filter(({ begin }) => begin < moment.to);
      const wrong = checkSector(known, from, bytes, moment.from, afterCut);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  /** From now on this is the content for certain: what was in doubt has happened before or never will. */
  settle(contents: readonly { readonly offset: number; readonly bytes: Buffer }[]): void {
    const before = this.now();
    for (const change of this.#doubtful) change.end = before;
    this.#doubtful.clear();
    this.#unflushed.clear();
    const at = this.now();
    for (const { offset, bytes } of contents) {
      const settled = settledAt(at, offset, bytes);
      settled.isDurable = false;
      this.#put(settled);
      this.#unflushed.add(settled);
    }
  }

  /** Forgets all that is no more possible. Only while nothing is looked at and no snapshot is there. */
  prune(): void {
    for (const [sector, changes] of this.#sectors) {
      const last = changes.at(-1);
      if (last?.name === "settled") this.#sectors.set(sector, [{ ...last, isDurable: true }]);
    }
    this.#unflushed.clear();
  }

  #put(change: Change): void {
    const end = change.offset + change.bytes.length;
    for (let sector = Math.floor(change.offset / SECTOR); sector * SECTOR < end; sector += 1) {
      const there = this.#sectors.get(sector);
      if (there === undefined) this.#sectors.set(sector, [change]);
      else there.push(change);
    }
  }

  #of(sector: number): Change[] {
    return this.#sectors.get(sector) ?? [];
  }
}

function settledAt(tick: number, offset: number, bytes: Buffer): Change {
  return { offset, bytes, begin: tick, end: tick, isDurable: true, name: "settled" };
}

/** Compares bytes of one sector. @param known the changes of it that may have happened */
function checkSector(
  known: readonly Change[],
  offset: number,
  bytes: Buffer,
  from: number,
  afterCut: boolean,
): string | undefined {
  const edges = new Set([offset, offset + bytes.length]);
  for (const change of known) {
    for (const edge of [change.offset, change.offset + change.bytes.length])
      if (edge > offset && edge < offset + bytes.length) edges.add(edge);
  }
  const sorted = [...edges].sort((a, b) => a - b);
  for (const [index, start] of sorted.entries()) {
    const end = sorted[index + 1];
    if (end === undefined) break;
    const piece = bytes.subarray(start - offset, end - offset);
    const covering = known.filter((change) => covers(change, start, end));
    const isRight = covering.some(
      (change) =>
        isSame(change, start, piece) &&
        !covering.some(
          (later) => later.begin > change.end && (afterCut ? later.isDurable : later.end < from),
        ),
    );
    if (!isRight) return describe(covering, start, piece, from);
  }
  return undefined;
}

const covers = ({ offset, bytes }: Change, start: number, end: number): boolean =>
  offset <= start && offset + bytes.length >= end;

function isSame({ offset, bytes }: Change, start: number, piece: Buffer): boolean {
  return bytes.compare(piece, 0, piece.length, start - offset, start - offset + piece.length) === 0;
}

function describe(covering: readonly Change[], start: number, piece: Buffer, from: number): string {
  const found = covering.filter((change) => isSame(change, start, piece)).map(show);
  const is = found.length === 0 ? "nothing that was ever written" : `of ${found.join(" or ")}`;
  const all = covering.slice(-8).map(show).join(", ");
  return `bytes ${start} to ${start + piece.length - 1} hold ${is}; looked at from ${from}; changes there: ${all}`;
}

const show = ({ name, begin, end, isDurable }: Change): string =>
  `${name} (${begin} to ${end}${isDurable ? ", durable" : ""})`;
