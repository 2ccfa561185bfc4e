import { BITMAP_BYTES, BLOCK_BYTES, CHUNKS_PER_BLOCK, encodeBlock, PAIR_BYTES } from "./exception-table.js";
import { type ChunkRun, KeptChunks } from "./kept-chunks.js";

export type WriteBlock = (offset: number, bytes: Buffer) => Promise<void>;

/** The bitmap of one piece on its way to the disks. */
interface PieceWriter {
  slot: 0 | 1;
  sequence: number;
  /** The write that those who mark now will share: it has not begun. */
  next: Promise<void> | undefined;
  /** The last write that was begun. */
  last: Promise<void>;
}

/**
 * Makes it durable that chunks are kept. One write a block is under way at a time; all that is marked meanwhile goes into
 * the next one.
 */
export class ExceptionWriter {
  /** What the blocks say, or are about to say. Only chunks whose data is durable. */
  readonly #marked = new KeptChunks();
  readonly #pieces = new Map<number, PieceWriter>();

  /** @param write durable when it resolves; offsets are those of the space */
  constructor(
    private readonly lvolid: number,
    private readonly write: WriteBlock,
  ) {}

  /** Takes over what the block of a piece holds. */
  adopt(
    piece: number,
    found: { readonly slot: 0 | 1; readonly sequence: number; readonly body: Uint8Array },
  ): void {
    const { slot, sequence, body } = found;
    this.#pieces.set(piece, { slot, sequence, next: undefined, last: Promise.resolve() });
    this.#marked.load(piece, body, Number.POSITIVE_INFINITY);
  }

  /** Resolves when the blocks that are on the disks name these chunks. */
  async commit({ first, end }: ChunkRun): Promise<void> {
    this.#marked.add({ first, end });
    const last = Math.floor((end - 1) / CHUNKS_PER_BLOCK);
    const writes: Promise<void>[] = [];
    for (let piece = Math.floor(first / CHUNKS_PER_BLOCK); piece <= last; piece += 1) {
      writes.push(this.#commitPiece(piece));
    }
    await Promise.all(writes);
  }

  #commitPiece(piece: number): Promise<void> {
    const writer = this.#writerOf(piece);
    writer.next ??= writer.last.then(() => {
      writer.next = undefined;
      return this.#writeNow(piece, writer);
    });
    const { next } = writer;
    writer.last = next;
    return next;
  }

  #writeNow(piece: number, writer: PieceWriter): Promise<void> {
    writer.slot = writer.slot === 0 ? 1 : 0;
    writer.sequence += 1;
    const block = piece + 1;
    const bytes = encodeBlock({ lvolid: this.lvolid, block }, writer.sequence, this.#marked.bitsOf(piece));
    return this.write(block * PAIR_BYTES + writer.slot * BLOCK_BYTES, bytes);
  }

  #writerOf(piece: number): PieceWriter {
    const known = this.#pieces.get(piece);
    if (known !== undefined) return known;
    throw new Error(`the table has no block for piece ${piece} of ${BITMAP_BYTES} bytes`);
  }
}
