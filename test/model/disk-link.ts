import { connect, createServer, type Server, type Socket } from "node:net";
import { NbdStream } from "./nbd-stream.js";
import type { UnflushedPages } from "./unflushed-pages.js";

export const NbdCommand = { READ: 0, WRITE: 1, DISCONNECT: 2, FLUSH: 3, TRIM: 4, WRITE_ZEROES: 6 } as const;
const EIO = 5;
const REPLY_MAGIC = 0x67446698;
const OPT_GO = 7;
const ACK = 1;
const INFO = 3;
const INFO_DESCRIPTION = 2;

/** A request on its way to the disk. */
export interface LinkRequest {
  readonly command: number;
  readonly isFua: boolean;
  readonly handle: bigint;
  readonly offset: number;
  readonly length: number;
  readonly bytes: Buffer;
  /** Order in which it was passed on. */
  order: number;
}

/** The network between a volume process and the export of a disk: understands NBD, and spoils it as it is told. */
export class DiskLink {
  port = 0;
  /** What the disk answers errors to. */
  readonly failing = new Set<number>();
  /** Requests are passed on so many ms late at the most. */
  delayMs = 0;
  isCut = false;
  /** What clients are told instead of the export's own boot id. */
  bootId = "boot-1";
  requests = 0;
  readonly #server: Server;
  readonly #pipes = new Set<Pipe>();

  constructor(
    readonly diskPort: () => number,
    readonly unflushed: UnflushedPages,
    /** From 0 to 1: how late a request is, as a part of the delay. */
    readonly chance: () => number,
  ) {
    this.#server = createServer({ noDelay: true }, (client) => {
      client.on("error", () => client.destroy());
      if (this.isCut) client.destroy();
      else this.#pipes.add(new Pipe(this, client, (pipe) => this.#pipes.delete(pipe)));
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Ends all connections; no others are made. @param isLate what is on its way arrives all the same, later */
  cut(isLate = false): void {
    this.isCut = true;
    for (const pipe of this.#pipes) pipe.cut(isLate);
  }

  heal(): void {
    this.isCut = false;
    this.delayMs = 0;
    this.failing.clear();
  }

  /** No connection is left. */
  get isIdle(): boolean {
    return this.#pipes.size === 0;
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }
}

/** One connection, taken apart and put together again. */
class Pipe {
  readonly #upstream: Socket;
  readonly #fromClient = new NbdStream();
  readonly #fromDisk = new NbdStream();
  readonly #pending = new Map<bigint, LinkRequest>();
  #queue: { readonly at: number; readonly send: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #phase: "flags" | "options" | "requests" = "flags";
  #diskPhase: "greeting" | "options" | "replies" = "greeting";
  /** Bytes of a read's answer that are still to come. */
  #dataLeft = 0;
  #isClientGone = false;

  constructor(
    private readonly link: DiskLink,
    private readonly client: Socket,
    private readonly onEnd: (pipe: Pipe) => void,
  ) {
    this.#upstream = connect({ host: "127.0.0.1", port: link.diskPort(), noDelay: true });
    this.#upstream.on("error", () => this.#upstream.destroy());
    this.#upstream.on("close", () => this.#end());
    this.#upstream.on("data", (piece: Buffer) => {
      this.#fromDisk.push(piece);
      while (this.#takeFromDisk());
    });
    client.on("data", (piece: Buffer) => {
      this.#fromClient.push(piece);
      while (this.#takeFromClient());
    });
    client.on("close", () => {
      this.#isClientGone = true;
      this.#endIfDone();
    });
  }

  cut(isLate: boolean): void {
    if (!isLate) {
      this.#queue = [];
      this.#upstream.destroy();
    }
    this.client.destroy();
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.client.destroy();
    this.onEnd(this);
  }

  /** What a client has sent before it left may still arrive. */
  #endIfDone(): void {
    if (this.#isClientGone && this.#queue.length === 0) this.#upstream.end();
  }

  #takeFromClient(): boolean {
    if (this.#phase === "flags") return this.#pass(this.#fromClient.take(4), () => (this.#phase = "options"));
    const head = this.#fromClient.peek(this.#phase === "options" ? 16 : 28);
    if (head === undefined) return false;
    if (this.#phase === "options") {
      const option = this.#fromClient.take(16 + head.readUInt32BE(12));
      return this.#pass(option, () => {
        if (head.readUInt32BE(8) === OPT_GO) this.#phase = "requests";
      });
    }
    const command = head.readUInt16BE(6);
    const length = head.readUInt32BE(24);
    const bytes = this.#fromClient.take(28 + (command === NbdCommand.WRITE ? length : 0));
    if (bytes === undefined) return false;
    const isFua = (head.readUInt16BE(4) & 1) !== 0;
    const offset = Number(head.readBigUInt64BE(16));
    this.#request({ command, isFua, handle: head.readBigUInt64BE(8), offset, length, bytes, order: 0 });
    return true;
  }

  #pass(bytes: Buffer | undefined, then: () => void): boolean {
    if (bytes === undefined) return false;
    this.#upstream.write(bytes);
    then();
    return true;
  }

  #request(request: LinkRequest): void {
    this.link.requests += 1;
    if (this.link.delayMs === 0 && this.#queue.length === 0) {
      this.#send(request);
      return;
    }
    // A disk may answer in any order what is under way at once; only the end of a connection comes last.
    const isLast = request.command === NbdCommand.DISCONNECT;
    const latest = Math.max(performance.now(), ...this.#queue.map((other) => other.at));
    const at = isLast ? latest : performance.now() + this.link.chance() * this.link.delayMs;
    this.#queue.push({ at, send: () => this.#send(request) });
    this.#timer ??= setTimeout(() => this.#drain(), 1);
  }

  #drain(): void {
    this.#timer = undefined;
    const now = performance.now();
    const due = this.#queue.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
    this.#queue = this.#queue.filter(({ at }) => at > now);
    for (const { send } of due) send();
    if (this.#queue.length > 0) this.#timer = setTimeout(() => this.#drain(), 1);
    else this.#endIfDone();
  }

  #send(request: LinkRequest): void {
    if (this.link.failing.has(request.command)) {
      this.client.write(reply(request.handle, EIO));
      return;
    }
    if (request.command !== NbdCommand.DISCONNECT) {
      this.#pending.set(request.handle, request);
      this.link.unflushed.sent(request);
    }
    this.#upstream.write(request.bytes);
  }

  #takeFromDisk(): boolean {
    if (this.#dataLeft > 0) return this.#passData();
    if (this.#diskPhase === "greeting") {
      const greeting = this.#fromDisk.take(18);
      if (greeting === undefined) return false;
      this.client.write(greeting);
      this.#diskPhase = "options";
      return true;
    }
    const head = this.#fromDisk.peek(this.#diskPhase === "options" ? 20 : 16);
    if (head === undefined) return false;
    if (this.#diskPhase === "options") {
      const bytes = this.#fromDisk.take(20 + head.readUInt32BE(16));
      if (bytes === undefined) return false;
      this.client.write(this.#withBootId(bytes));
      if (head.readUInt32BE(8) === OPT_GO && head.readUInt32BE(12) === ACK) this.#diskPhase = "replies";
      return true;
    }
    const handle = head.readBigUInt64BE(8);
    const request = this.#pending.get(handle);
    const errno = head.readUInt32BE(4);
    const bytes = this.#fromDisk.take(16);
    if (bytes === undefined) return false;
    this.#pending.delete(handle);
    if (request?.command === NbdCommand.READ && errno === 0) this.#dataLeft = request.length;
    if (request !== undefined && errno === 0) this.link.unflushed.answered(request);
    if (!this.client.destroyed) this.client.write(bytes);
    return true;
  }

  /** Copiers read much: it is passed on in the pieces in which it comes. */
  #passData(): boolean {
    const piece = this.#fromDisk.takeUpTo(this.#dataLeft);
    if (piece === undefined) return false;
    this.#dataLeft -= piece.length;
    if (!this.client.destroyed) this.client.write(piece);
    return true;
  }

  /** After a power cut the export is still the same process; its clients must see a server that was restarted. */
  #withBootId(bytes: Buffer): Buffer {
    const isDescription =
      bytes.readUInt32BE(12) === INFO && bytes.readUInt16BE(20) === INFO_DESCRIPTION && bytes.length > 22;
    if (!isDescription) return bytes;
    const text = Buffer.from(`boot=${this.link.bootId}`);
    const changed = Buffer.concat([bytes.subarray(0, 22), text]);
    changed.writeUInt32BE(2 + text.length, 16);
    return changed;
  }
}

function reply(handle: bigint, errno: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(REPLY_MAGIC, 0);
  bytes.writeUInt32BE(errno, 4);
  bytes.writeBigUInt64BE(handle, 8);
  return bytes;
}
