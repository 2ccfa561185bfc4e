import { BITMAP_BYTES, CHUNKS_PER_BLOCK } from "./exception-table.js";
import { getBit, setBit } from "./write-intent.js";

/** Chunks one after the other: from `first` to before `end`. */
export interface ChunkRun {
  readonly first: number;
  readonly end: number;
}

/** A run of which all chunks are kept, or none is. */
export interface KnownRun extends ChunkRun {
  readonly isKept: boolean;
}

/**
 * A set of chunks, in pieces of one table block each: a volume of many terabytes has more chunks than one array should
 * have, and most of its blocks are empty.
 */
export class KeptChunks {
  count = 0;
  readonly #blocks = new Map<number, Uint8Array>();

  has(chunk: number): boolean {
    const bits = this.#blocks.get(Math.floor(chunk / CHUNKS_PER_BLOCK));
    return bits !== undefined && getBit(bits, chunk % CHUNKS_PER_BLOCK);
  }

  add({ first, end }: ChunkRun): void {
    for (let chunk = first; chunk < end; chunk += 1) {
      if (this.has(chunk)) continue;
      setBit(this.#own(Math.floor(chunk / CHUNKS_PER_BLOCK)), chunk % CHUNKS_PER_BLOCK);
      this.count += 1;
    }
  }

  hasAll({ first, end }: ChunkRun): boolean {
    for (let chunk = first; chunk < end; chunk += 1) if (!this.has(chunk)) return false;
    return true;
  }

  /** Cuts a run into the longest ones that are kept, or not, as a whole. */
  cut({ first, end }: ChunkRun): KnownRun[] {
    const runs: KnownRun[] = [];
    for (let from = first; from < end; ) {
      const isKept = this.has(from);
      let to = from + 1;
      while (to < end && this.has(to) === isKept) to += 1;
      runs.push({ first: from, end: to, isKept });
      from = to;
    }
    return runs;
  }

  /** The bits of one piece, as its table block holds them. */
  bitsOf(piece: number): Uint8Array {
    return this.#blocks.get(piece) ?? new Uint8Array(BITMAP_BYTES);
  }

  /** Takes over what the table block of a piece holds. @param chunks of the origin: bits beyond are ignored */
  load(piece: number, bits: Uint8Array, chunks: number): void {
    if (bits.every((byte) => byte === 0)) return;
    const first = piece * CHUNKS_PER_BLOCK;
    const end = Math.min(first + CHUNKS_PER_BLOCK, chunks);
    for (let chunk = first; chunk < end; chunk += 1) {
      if (getBit(bits, chunk - first)) this.add({ first: chunk, end: chunk + 1 });
    }
  }

  #own(piece: number): Uint8Array {
    const known = this.#blocks.get(piece);
    if (known !== undefined) return known;
    const bits = new Uint8Array(BITMAP_BYTES);
    this.#blocks.set(piece, bits);
    return bits;
  }
}
