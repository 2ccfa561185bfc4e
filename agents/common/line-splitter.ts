/** A peer sent more than a line may have. */
export class LineTooLongError extends Error {
  override readonly name = "LineTooLongError";
}

/**
 * Cuts a stream of bytes into lines. Invariant: what it keeps between two pushes is the beginning of one line, and never
 * more than `maxBytes`; the pieces are joined once, when the line ends, so a long line costs its length and no more.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes the next bytes and returns the lines that end in them, without their line feeds.
   *
   * @throws LineTooLongError if a line has more than `maxBytes`; the splitter is of no use afterwards
   */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end));
      lines.push(Buffer.concat(this.#pieces, this.#length).toString("utf8"));
      this.#pieces = [];
      this.#length = 0;
      from = end + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    return lines;
  }

  #keep(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length > this.#maxBytes)
      throw new LineTooLongError(`a line has more than ${this.#maxBytes} bytes`);
    this.#pieces.push(piece);
  }
}
