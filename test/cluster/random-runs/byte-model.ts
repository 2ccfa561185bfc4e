import { GIB, MIB } from "../../../shared/units.js";

const KIB = 1024;

/** Where a volume of 1 GB is written: at its ends, and across the boundaries of a region and of chunks. */
const WINDOWS = [
  { offset: 0, length: 96 * KIB },
  { offset: 16 * MIB - 40 * KIB - 3, length: 128 * KIB },
  { offset: 300 * MIB + 5 * KIB, length: 200 * KIB },
  { offset: GIB - 64 * KIB, length: 64 * KIB },
] as const;

export type Window = (typeof WINDOWS)[number];

/** A change that was asked for: `bytes` at this place of a window. */
export interface Change {
  readonly window: Window;
  /** Within the window. */
  readonly at: number;
  readonly bytes: Buffer;
}

/**
 * What a volume, or a snapshot of it, may hold, byte by byte: the last acknowledged value, or that of a change that was asked
 * for later and never answered.
 */
export class ByteModel {
  static readonly windows: readonly Window[] = WINDOWS;
  readonly #certain = new Map<Window, Buffer>();
  #doubtful: Change[] = [];

  constructor() {
    for (const window of WINDOWS) this.#certain.set(window, Buffer.alloc(window.length));
  }

  /** The same content, for a snapshot that is taken now. */
  copy(): ByteModel {
    const copy = new ByteModel();
    for (const [window, bytes] of this.#certain) copy.#certain.set(window, Buffer.from(bytes));
    copy.#doubtful = [...this.#doubtful];
    return copy;
  }

  /** A change begins: until it is acknowledged nobody knows if it has happened. */
  begin(change: Change): void {
    this.#doubtful.push(change);
  }

  acknowledge(change: Change): void {
    const { window, at, bytes } = change;
    bytes.copy(this.#bytes(window), at);
    // What was in doubt there before is overwritten: the volume keeps the order of one client that waits for answers.
    this.#doubtful = this.#doubtful
      .filter((other) => other !== change)
      .flatMap((other) => withoutRange(other, window, at, at + bytes.length));
  }

  /**
   * Compares a window as it was read, and takes what was read for certain from now on.
   *
   * @returns what is wrong; undefined if nothing is.
   */
  compare(window: Window, read: Buffer): string | undefined {
    const certain = this.#bytes(window);
    if (!read.equals(certain)) {
      const doubtful = this.#doubtful.filter((change) => change.window === window);
      for (let at = 0; at < read.length; at += 1) {
        if (read[at] === certain[at]) continue;
        const isPossible = doubtful.some((change) => change.bytes[at - change.at] === read[at]);
        if (!isPossible) {
          const place = `byte ${window.offset + at}`;
          return `${place} is ${read[at]}, and should be ${certain[at]} (${doubtful.length} changes in doubt)`;
        }
      }
    }
    this.#certain.set(window, Buffer.from(read));
    this.#doubtful = this.#doubtful.filter((change) => change.window !== window);
    return undefined;
  }

  #bytes(window: Window): Buffer {
    return this.#certain.get(window) as Buffer; // the constructor made one for each
  }
}

function withoutRange(change: Change, window: Window, start: number, end: number): Change[] {
  const changeEnd = change.at + change.bytes.length;
  if (change.window !== window || change.at >= end || changeEnd <= start) return [change];
  const rest: Change[] = [];
  if (change.at < start) rest.push({ ...change, bytes: change.bytes.subarray(0, start - change.at) });
  if (changeEnd > end) rest.push({ ...change, at: end, bytes: change.bytes.subarray(end - change.at) });
  return rest;
}
