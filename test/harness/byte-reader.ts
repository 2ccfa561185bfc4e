import type { Socket } from "node:net";

/** Hands out exactly as many bytes of a stream as are asked for. */
export class ByteReader {
  private readonly source: AsyncIterator<Buffer>;
  private held: Buffer[] = [];
  private heldLength = 0;

  constructor(socket: Socket) {
    this.source = socket[Symbol.asyncIterator]();
  }

  async read(length: number): Promise<Buffer> {
    while (this.heldLength < length) {
      const next = await this.source.next();
      if (next.done === true) throw new Error("the NBD server closed the connection");
      this.held.push(next.value);
      this.heldLength += next.value.length;
    }
    const all =
      this.held.length === 1 && this.held[0] !== undefined ? this.held[0] : Buffer.concat(this.held);
    this.held = [all.subarray(length)];
    this.heldLength = all.length - length;
    return all.subarray(0, length);
  }
}
