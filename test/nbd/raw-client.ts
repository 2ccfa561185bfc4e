import { createConnection, type Socket } from "node:net";

const DEADLINE_MS = 60_000;

/** A connection that says exactly what a test wants, and gathers what comes back. */
export class RawClient {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  closed = false;
  #changed: () => void = () => undefined;

  constructor(port: number, halfOpen = false) {
    this.socket = createConnection({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: halfOpen });
    this.socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#changed();
    });
    // A reset is one of the ways in which a server may end a connection.
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.closed = true;
      this.#changed();
    });
  }

  send(...pieces: Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(pieces));
  }

  /** Fails when the condition can't come true any more, or not in time. */
  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what}: not in time`)), DEADLINE_MS);
      this.#changed = () => {
        if (!condition() && !this.closed) return;
        clearTimeout(timer);
        if (condition()) resolve();
        else reject(new Error(`${what}: the connection was closed`));
      };
      this.#changed();
    });
  }

  untilBytes(count: number): Promise<void> {
    return this.until(`${count} bytes`, () => this.received.length >= count);
  }

  untilClosed(): Promise<void> {
    return this.until("closed", () => this.closed);
  }

  /** Opens an export and forgets all that was received until then. */
  async go(name: string): Promise<this> {
    this.send(clientFlags(3), option(7, goData(name)));
    await this.until("an answer", () =>
      this.received.includes(Buffer.from("0003e889045565a90000000700000001", "hex")),
    );
    this.received = Buffer.alloc(0);
    return this;
  }
}

export function clientFlags(flags: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(flags);
  return bytes;
}

export function option(type: number, data: Buffer = Buffer.alloc(0), length = data.length): Buffer {
  const header = Buffer.from("IHAVEOPT\0\0\0\0\0\0\0\0", "latin1");
  header.writeUInt32BE(type, 8);
  header.writeUInt32BE(length, 12);
  return Buffer.concat([header, data]);
}

export function goData(name: string, infos: readonly number[] = [], nameLength = name.length): Buffer {
  const bytes = Buffer.alloc(6 + name.length + 2 * infos.length);
  bytes.writeUInt32BE(nameLength, 0);
  bytes.write(name, 4);
  bytes.writeUInt16BE(infos.length, 4 + name.length);
  for (const [place, info] of infos.entries()) bytes.writeUInt16BE(info, 6 + name.length + 2 * place);
  return bytes;
}

export interface RawRequest {
  readonly type: number;
  readonly offset?: bigint;
  readonly length?: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly magic?: number;
}

export function request({
  type,
  offset = 0n,
  length = 0,
  flags = 0,
  cookie = 1n,
  magic = 0x25609513,
}: RawRequest): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(magic, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(type, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(offset, 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
