import type { Bytes } from "../../../shared/units.js";

/** The longest usual request and its header fit in at once, so that its payload is one piece. */
const SLAB_BYTES: Bytes = 1_114_112;
/** A slab with less room than this is left to those who hold parts of it. */
const LEAST_ROOM_BYTES: Bytes = 65_536;
/** Slabs kept for use again; what more a burst needed goes to the garbage collector. */
const MAX_RETIRED = 64;

interface Slab {
  readonly bytes: Buffer;
  /** Payloads that have a part in it and are not released. */
  holders: number;
  /** Count of all bytes received when it was full. */
  end: number;
}

/**
 * The memory that a connection receives into. A slab is used again when all of it has been parsed and all payloads in it
 * were released: fresh memory costs page faults, and what was just read from is still in the processor's cache.
 *
 * Invariant: bytes that are parsed and not held, or held and released, are the only ones written over.
 */
export class ReceiveSlabs {
  readonly #unparsed: { readonly length: Bytes };
  readonly #inUse = new Map<ArrayBufferLike, Slab>();
  #retired: Slab[] = [];
  #slab: Slab;
  #used = 0;
  #received = 0;

  /** @param unparsed the received bytes that are not parsed yet, the newest ones */
  constructor(unparsed: { readonly length: Bytes }) {
    this.#unparsed = unparsed;
    this.#slab = this.#allocate();
  }

  /** Where the next bytes are to go. */
  room(): Buffer {
    const slab = this.#slab;
    if (slab.holders === 0 && this.#unparsed.length === 0) this.#used = 0;
    else if (slab.bytes.length - this.#used < LEAST_ROOM_BYTES) this.#renew();
    return this.#slab.bytes.subarray(this.#used);
  }

  /** @returns the bytes that came into the room */
  received(count: number): Buffer {
    const piece = this.#slab.bytes.subarray(this.#used, this.#used + count);
    this.#used += count;
    this.#received += count;
    return piece;
  }

  /** A payload is kept until `release`. */
  hold(payload: readonly Buffer[]): void {
    this.#count(payload, 1);
  }

  release(payload: readonly Buffer[]): void {
    this.#count(payload, -1);
  }

  #count(payload: readonly Buffer[], step: 1 | -1): void {
    for (const piece of payload) {
      // Pieces that were copied together lie elsewhere.
      const slab = this.#inUse.get(piece.buffer);
      if (slab !== undefined) slab.holders += step;
    }
  }

  #renew(): void {
    this.#slab.end = this.#received;
    this.#retired.push(this.#slab);
    const parsed = this.#received - this.#unparsed.length;
    const place = this.#retired.findIndex(({ holders, end }) => holders === 0 && end <= parsed);
    const [free] = place < 0 ? [] : this.#retired.splice(place, 1);
    if (this.#retired.length > MAX_RETIRED) this.#forgetOldest();
    this.#slab = free ?? this.#allocate();
    this.#used = 0;
  }

  /** Its holders keep it alive; it is never written to again. */
  #forgetOldest(): void {
    const oldest = this.#retired.shift();
    if (oldest !== undefined) this.#inUse.delete(oldest.bytes.buffer);
  }

  #allocate(): Slab {
    const slab = { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), holders: 0, end: 0 };
    this.#inUse.set(slab.bytes.buffer, slab);
    return slab;
  }
}
