/** Bytes of a stream, handed out in pieces of the length that is asked for. */
export class NbdStream {
  #pieces: Buffer[] = [];
  #length = 0;

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  /** @returns undefined if there are fewer */
  peek(length: number): Buffer | undefined {
    if (this.#length < length) return undefined;
    const [first] = this.#pieces;
    if (first !== undefined && first.length >= length) return first.subarray(0, length);
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all];
    return all.subarray(0, length);
  }

  take(length: number): Buffer | undefined {
    const taken = this.peek(length);
    if (taken === undefined) return undefined;
    this.#length -= length;
    const first = this.#pieces[0] as Buffer; // peek has put all of it there
    if (first.length === length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(length);
    return taken;
  }

  /** @returns what there is, in one piece as it came; undefined if there is nothing */
  takeUpTo(most: number): Buffer | undefined {
    const [first] = this.#pieces;
    return first === undefined ? undefined : this.take(Math.min(most, first.length));
  }
}
