import type { Socket } from "node:net";
import type { Bytes } from "../../../shared/units.js";

/** Pieces up to this size are copied into the batch: cheaper than one more entry of a `writev`. */
const COPIED_BYTES: Bytes = 16_384;
const SLAB_BYTES: Bytes = 262_144;
/** A batch of this size is sent before its event ends, so that the peer can begin. */
const EARLY_BYTES: Bytes = 262_144;

/**
 * What goes out on a connection, all that follows from one event in one system call. A `write` for each message costs
 * more than the message; with batches, 4 KiB requests at depth 16 are about twice as many a second. Waiting for the end of
 * the event loop's turn (`setImmediate`) took 3.0 instead of 2.4 ms of CPU time for writes of 1 MiB at depth 16; for 4 KiB
 * the two were too close to tell apart (medians of 3 rounds of 2 s on a busy machine, `bench/volume.sh BUILD OTHER_BUILD`).
 *
 * Invariant: a slab is written from its beginning again only when the socket holds nothing of it.
 */
export class Outbox {
  readonly #socket: Socket;
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** The slab's bytes from #from to #to are the end of the batch. */
  #from = 0;
  #to = 0;
  #pieces: Buffer[] = [];
  #bytes: Bytes = 0;
  #scheduled = false;
  #held = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsent(): Bytes {
    return this.#bytes + this.#socket.writableLength;
  }

  /** Room for `count` bytes of a header, at most SLAB_BYTES: the caller fills `slab` from the index returned, at once. */
  reserve(count: number): number {
    if (this.#to + count > this.#slab.length) this.#renewSlab();
    const at = this.#to;
    this.#to += count;
    this.#bytes += count;
    this.#schedule();
    return at;
  }

  get slab(): Buffer {
    return this.#slab;
  }

  /** Whether nothing that was added is referred to any more. */
  get idle(): boolean {
    return this.#pieces.length === 0 && this.#socket.writableLength === 0;
  }

  /** Adds bytes that nobody writes to any more, except if it returns true: then they were copied. */
  add(piece: Buffer): boolean {
    const copied = piece.length <= COPIED_BYTES;
    if (copied) {
      const at = this.reserve(piece.length);
      piece.copy(this.#slab, at);
    } else {
      this.#cut();
      this.#pieces.push(piece);
      this.#bytes += piece.length;
      this.#schedule();
    }
    if (this.#bytes >= EARLY_BYTES) this.flush();
    return copied;
  }

  /** From now until `release` the owner sees to the flush itself. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.flush();
  }

  flush(): void {
    if (this.#bytes === 0) return;
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    if (!this.#socket.writable) return;
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) {
      this.#socket.write(first);
    } else {
      this.#socket.cork();
      for (const piece of pieces) this.#socket.write(piece);
      this.#socket.uncork();
    }
    if (this.#socket.writableLength === 0) {
      this.#from = 0;
      this.#to = 0;
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#held) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  #cut(): void {
    if (this.#to > this.#from) this.#pieces.push(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  #renewSlab(): void {
    this.#cut();
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#from = 0;
    this.#to = 0;
  }
}
