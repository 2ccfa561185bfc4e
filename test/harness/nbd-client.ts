import { connect, type NetConnectOpts, type Socket } from "node:net";
import { ByteReader } from "./byte-reader.js";
import { NbdError, negotiate } from "./nbd-handshake.js";

/**
 * A small NBD client of the tests' own, written from the protocol's text alone, so that a misreading of it by the
 * product does not go unnoticed. Fixed newstyle, NBD_OPT_GO, simple replies, many requests at once.
 */
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const COMMAND_FLAG_FUA = 1;

const CONNECT_MS = 60_000;

const Command = { READ: 0, WRITE: 1, DISCONNECT: 2, FLUSH: 3, TRIM: 4, WRITE_ZEROES: 6 } as const;

interface Pending {
  readonly readLength: number;
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

interface ChangeOptions {
  /** Durable when it is answered. */
  readonly fua?: boolean;
}

const flagsOf = ({ fua }: ChangeOptions): number => (fua === true ? COMMAND_FLAG_FUA : 0);

export class NbdClient {
  private readonly pending = new Map<bigint, Pending>();
  private nextHandle = 1n;
  private broken: Error | undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly reader: ByteReader,
    /** Size of the export in bytes. */
    readonly size: number,
  ) {
    void this.receive();
  }

  /** @throws NbdError if the export is refused, Error if the server does not answer within a minute. */
  static async connect(where: NetConnectOpts, exportName = ""): Promise<NbdClient> {
    const socket = connect(where);
    const timer = setTimeout(() => socket.destroy(new Error("the NBD server does not answer")), CONNECT_MS);
    try {
      await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.on("error", () => {});
      const reader = new ByteReader(socket);
      return new NbdClient(socket, reader, await negotiate(socket, reader, exportName));
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Its connection has ended: no request is answered any more. */
  get isBroken(): boolean {
    return this.broken !== undefined || this.socket.destroyed;
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.request(Command.READ, offset, length);
  }

  async write(offset: number, data: Buffer, options: ChangeOptions = {}): Promise<void> {
    await this.request(Command.WRITE, offset, data.length, flagsOf(options), data);
  }

  async flush(): Promise<void> {
    await this.request(Command.FLUSH, 0, 0);
  }

  async trim(offset: number, length: number, options: ChangeOptions = {}): Promise<void> {
    await this.request(Command.TRIM, offset, length, flagsOf(options));
  }

  async zero(offset: number, length: number, options: ChangeOptions = {}): Promise<void> {
    await this.request(Command.WRITE_ZEROES, offset, length, flagsOf(options));
  }

  /** Says goodbye; requests under way are lost. */
  async close(): Promise<void> {
    if (this.socket.destroyed) return;
    const closed = new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
    this.socket.end(header(Command.DISCONNECT, 0, 0n, 0, 0));
    await closed;
  }

  private request(
    command: number,
    offset: number,
    length: number,
    flags = 0,
    data?: Buffer,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.broken !== undefined) {
        reject(this.broken);
        return;
      }
      const handle = this.nextHandle++;
      this.pending.set(handle, { readLength: command === Command.READ ? length : 0, resolve, reject });
      this.socket.write(header(command, flags, handle, offset, length));
      if (data !== undefined) this.socket.write(data);
    });
  }

  private async receive(): Promise<void> {
    try {
      for (;;) {
        const reply = await this.reader.read(16);
        if (reply.readUInt32BE(0) !== REPLY_MAGIC) throw new Error("not a simple reply");
        const handle = reply.readBigUInt64BE(8);
        const pending = this.pending.get(handle);
        if (pending === undefined) throw new Error(`a reply to nothing: ${handle}`);
        this.pending.delete(handle);
        const code = reply.readUInt32BE(4);
        if (code !== 0) pending.reject(new NbdError(code, `the NBD server answered errno ${code}`));
        else pending.resolve(await this.reader.read(pending.readLength));
      }
    } catch (error) {
      this.broken = error instanceof Error ? error : new Error(String(error));
      for (const { reject } of this.pending.values()) reject(this.broken);
      this.socket.destroy();
    }
  }
}

function header(command: number, flags: number, handle: bigint, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(handle, 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
