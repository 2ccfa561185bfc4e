import type { Bytes } from "../../../shared/units.js";

/** Pieces up to this size are copied behind the one before, so that a peer that sends single bytes costs no more memory than its bytes. */
const SMALL_BYTES: Bytes = 4096;
const TAIL_BYTES: Bytes = 65_536;
const NOTHING = Buffer.alloc(0);

/**
 * The bytes that have come and are not parsed yet, without joining them: `Buffer.concat` costs a copy of every byte.
 *
 * Invariant: what is taken out is never written to again, so it stays valid for as long as someone holds it.
 */
export class ByteQueue {
  /** The next byte is `head[at]`. */
  head: Buffer = NOTHING;
  at = 0;
  /** Bytes held. */
  length: Bytes = 0;
  #rest: Buffer[] = [];
  /** Where small pieces are collected; the last piece of #rest is its beginning if #tailUsed is not 0. */
  #tail: Buffer = NOTHING;
  #tailUsed = 0;

  push(piece: Buffer): void {
    if (this.#extend(piece)) return;
    if (this.length === 0) {
      this.head = piece;
      this.at = 0;
    } else if (piece.length <= SMALL_BYTES) {
      this.#pushSmall(piece);
    } else {
      this.#tailUsed = 0;
      this.#rest.push(piece);
    }
    this.length += piece.length;
  }

  /** Makes the next `count` bytes stand together at `head[at]`. There must be that many; for headers. */
  gather(count: number): void {
    if (this.head.length - this.at >= count) return;
    const together = Buffer.allocUnsafe(count);
    let filled = 0;
    for (const piece of this.take(count)) filled += piece.copy(together, filled);
    if (this.length > 0) this.#rest.unshift(this.head.subarray(this.at));
    this.head = together;
    this.at = 0;
    this.length += count;
  }

  skip(count: number): void {
    this.at += count;
    this.length -= count;
    if (this.at >= this.head.length) this.#advance();
  }

  /** Takes the next `count` bytes out. There must be that many. */
  take(count: number): Buffer[] {
    const taken: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      const end = Math.min(this.head.length, this.at + missing);
      const got = end - this.at;
      taken.push(this.head.subarray(this.at, end));
      missing -= got;
      this.skip(got);
    }
    return taken;
  }

  clear(): void {
    this.head = NOTHING;
    this.at = 0;
    this.length = 0;
    this.#rest = [];
    this.#tailUsed = 0;
  }

  /** Bytes that lie right behind the last ones in memory become one piece with them. */
  #extend(piece: Buffer): boolean {
    if (this.length === 0) return false;
    const last = this.#rest[this.#rest.length - 1] ?? this.head;
    if (last.buffer !== piece.buffer || last.byteOffset + last.length !== piece.byteOffset) return false;
    const longer = Buffer.from(last.buffer, last.byteOffset, last.length + piece.length);
    if (this.#rest.length > 0) this.#rest[this.#rest.length - 1] = longer;
    else this.head = longer;
    this.length += piece.length;
    return true;
  }

  #advance(): void {
    const next = this.#rest.shift();
    // The piece at the front is read from now on and must not be replaced by a longer one.
    if (this.#rest.length === 0) this.#tailUsed = 0;
    this.head = next ?? NOTHING;
    this.at = 0;
  }

  #pushSmall(piece: Buffer): void {
    if (this.#tailUsed > 0 && this.#tailUsed + piece.length <= this.#tail.length) {
      this.#rest.pop();
    } else {
      this.#tail = Buffer.allocUnsafeSlow(TAIL_BYTES);
      this.#tailUsed = 0;
    }
    this.#tailUsed += piece.copy(this.#tail, this.#tailUsed);
    this.#rest.push(this.#tail.subarray(0, this.#tailUsed));
  }
}
