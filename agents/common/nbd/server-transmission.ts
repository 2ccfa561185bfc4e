import type { Socket } from "node:net";
import type { Bytes, Milliseconds } from "../../../shared/units.js";
import type { ByteQueue } from "./byte-queue.js";
import type { Outbox } from "./outbox.js";
import {
  Command,
  CommandFlag,
  MAX_REQUEST_BYTES,
  NbdErrno,
  REPLY_BYTES,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_MAGIC,
} from "./protocol.js";
import type { ReceiveSlabs } from "./receive-slabs.js";
import type { NbdExportInfo, NbdRequest, NbdSession } from "./server.js";

/**
 * Bounds on what one connection may keep in memory: payloads and read data of requests under way together with replies
 * that its client has not taken. A single request always passes, so that the longest one can be served.
 */
const MAX_LOAD_BYTES: Bytes = MAX_REQUEST_BYTES;
const MAX_REQUESTS = 1024;
/** While this much waits for the client, new requests wait: reading further ahead only evicts caches. */
const MAX_UNSENT_BYTES: Bytes = 262_144;

/** A client that said goodbye and does not take its last replies is cut off after this. */
const LINGER_MS: Milliseconds = 10_000;

const NO_DATA: readonly Buffer[] = [];
const COMMANDS: Readonly<Record<number, NbdRequest["command"]>> = {
  [Command.READ]: "read",
  [Command.WRITE]: "write",
  [Command.FLUSH]: "flush",
  [Command.TRIM]: "trim",
  [Command.WRITE_ZEROES]: "writeZeroes",
};

interface Streams {
  readonly socket: Socket;
  readonly queue: ByteQueue;
  readonly slabs: ReceiveSlabs;
  readonly outbox: Outbox;
}

/** A header whose payload may still be on its way. */
interface Header {
  readonly flags: number;
  readonly type: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offset: Bytes;
  readonly length: Bytes;
}

/** Requests in, simple replies out. When the client asks for more at once than the bounds allow, its socket is not read. */
export class ServerTransmission {
  readonly #socket: Socket;
  readonly #queue: ByteQueue;
  readonly #slabs: ReceiveSlabs;
  readonly #outbox: Outbox;
  readonly #info: NbdExportInfo;
  readonly #session: NbdSession;
  #current: Header | undefined;
  /** Requests given to the session and not answered, and their bytes. */
  #running = 0;
  #runningBytes: Bytes = 0;
  #processing = false;
  #stalled = false;
  #wakeScheduled = false;
  /** No more requests are read; the connection ends when those under way are answered. */
  #finishing = false;
  #ending = false;

  constructor(streams: Streams, info: NbdExportInfo, session: NbdSession) {
    this.#socket = streams.socket;
    this.#queue = streams.queue;
    this.#slabs = streams.slabs;
    this.#outbox = streams.outbox;
    this.#info = info;
    this.#session = session;
  }

  /** Serves what has come, as far as the bounds allow. */
  process(): void {
    if (this.#processing) return;
    this.#processing = true;
    this.#outbox.hold();
    while (!this.#finishing && !this.#socket.destroyed && this.#step());
    this.#processing = false;
    this.#outbox.release();
    this.#endIfFinished();
  }

  finish(): void {
    this.#finishing = true;
    this.#socket.pause();
    this.#endIfFinished();
  }

  ended(): void {
    this.#finishing = true;
    this.#session.closed();
  }

  /** @returns whether there may be another one */
  #step(): boolean {
    this.#current ??= this.#readHeader();
    const header = this.#current;
    if (header === undefined) return false;
    const carried = header.type === Command.WRITE ? header.length : 0;
    if (this.#queue.length < carried) return false;
    this.#current = undefined;
    const payload = carried === 0 ? NO_DATA : this.#queue.take(carried);
    if (header.type === Command.DISCONNECT) this.#finishing = true;
    else this.#dispatch(header, payload);
    return true;
  }

  #readHeader(): Header | undefined {
    const queue = this.#queue;
    if (queue.length < REQUEST_BYTES) return undefined;
    queue.gather(REQUEST_BYTES);
    const { head, at } = queue;
    const type = head.readUInt16BE(at + 6);
    const length = head.readUInt32BE(at + 24);
    if (head.readUInt32BE(at) !== REQUEST_MAGIC || (type === Command.WRITE && length > MAX_REQUEST_BYTES)) {
      this.#socket.destroy();
      return undefined;
    }
    if (!this.#hasRoom(type === Command.READ || type === Command.WRITE ? length : 0)) {
      this.#stall();
      return undefined;
    }
    this.#unstall();
    const header: Header = {
      flags: head.readUInt16BE(at + 4),
      type,
      cookieHigh: head.readUInt32BE(at + 8),
      cookieLow: head.readUInt32BE(at + 12),
      // Above 2^53 it is not exact, but then it is beyond the end all the same.
      offset: head.readUInt32BE(at + 16) * 0x1_0000_0000 + head.readUInt32BE(at + 20),
      length,
    };
    queue.skip(REQUEST_BYTES);
    return header;
  }

  #hasRoom(bytes: Bytes): boolean {
    const { unsent } = this.#outbox;
    if (this.#running >= MAX_REQUESTS || unsent > MAX_UNSENT_BYTES) return false;
    if (this.#running === 0) return true;
    return this.#runningBytes + unsent + bytes <= MAX_LOAD_BYTES;
  }

  #stall(): void {
    // What has been answered must go out even though this turn is not over: it may be all that is waited for.
    this.#outbox.flush();
    this.#stalled = true;
    this.#socket.pause();
    // Otherwise a reply or the socket's `drain` goes on.
    if (this.#running === 0 && this.#outbox.unsent <= MAX_UNSENT_BYTES) this.#scheduleWake();
  }

  #unstall(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    this.#socket.resume();
  }

  #dispatch(header: Header, payload: readonly Buffer[]): void {
    const { cookieHigh, cookieLow, type, length } = header;
    const command = COMMANDS[type];
    const refusal = this.#check(header, command);
    if (refusal !== NbdErrno.OK || command === undefined) {
      this.#send(cookieHigh, cookieLow, refusal, NO_DATA);
      return;
    }
    const bytes = command === "read" || command === "write" ? length : 0;
    this.#running += 1;
    this.#runningBytes += bytes;
    this.#slabs.hold(payload);
    let answered = false;
    const request: NbdRequest = {
      command,
      offset: header.offset,
      length,
      fua: command !== "flush" && (header.flags & CommandFlag.FUA) !== 0,
      noHole: (header.flags & CommandFlag.NO_HOLE) !== 0,
      payload,
    };
    this.#session.request(request, (errno, data) => {
      if (answered) return false;
      answered = true;
      this.#running -= 1;
      this.#runningBytes -= bytes;
      this.#slabs.release(payload);
      const free = this.#send(cookieHigh, cookieLow, errno, data ?? NO_DATA);
      if ((this.#stalled || this.#finishing) && !this.#processing) this.#scheduleWake();
      return free;
    });
  }

  /** The errno of a request that the session need not see; 0 = it does. */
  #check({ flags, offset, length }: Header, command: NbdRequest["command"] | undefined): number {
    const info = this.#info;
    if (command === undefined) return NbdErrno.EINVAL;
    const known = CommandFlag.FUA | (command === "writeZeroes" ? CommandFlag.NO_HOLE : 0);
    if ((flags & ~known) !== 0 || ((flags & CommandFlag.FUA) !== 0 && !info.canFua)) return NbdErrno.EINVAL;
    if (command === "flush")
      return info.canFlush && offset === 0 && length === 0 ? NbdErrno.OK : NbdErrno.EINVAL;
    if (command !== "read" && info.readOnly) return NbdErrno.EPERM;
    if ((command === "trim" && !info.canTrim) || (command === "writeZeroes" && !info.canZero)) {
      return NbdErrno.EINVAL;
    }
    if (length === 0 || (command === "read" && length > MAX_REQUEST_BYTES)) return NbdErrno.EINVAL;
    if (offset + length <= info.size) return NbdErrno.OK;
    return command === "write" || command === "writeZeroes" ? NbdErrno.ENOSPC : NbdErrno.EINVAL;
  }

  /** @returns whether `data` is not referred to any more */
  #send(cookieHigh: number, cookieLow: number, errno: number, data: readonly Buffer[]): boolean {
    if (this.#socket.destroyed) return true;
    const at = this.#outbox.reserve(REPLY_BYTES);
    const { slab } = this.#outbox;
    slab.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
    slab.writeUInt32BE(errno, at + 4);
    slab.writeUInt32BE(cookieHigh, at + 8);
    slab.writeUInt32BE(cookieLow, at + 12);
    if (errno !== NbdErrno.OK) return true;
    let copied = true;
    for (const piece of data) copied = this.#outbox.add(piece) && copied;
    return copied || this.#outbox.idle;
  }

  /** Not at once: the reply comes from deep inside the session, which must not be called from there. */
  #scheduleWake(): void {
    if (this.#wakeScheduled) return;
    this.#wakeScheduled = true;
    queueMicrotask(() => {
      this.#wakeScheduled = false;
      this.process();
    });
  }

  #endIfFinished(): void {
    if (!this.#finishing || this.#ending || this.#running > 0 || this.#socket.destroyed) return;
    this.#ending = true;
    this.#outbox.flush();
    this.#socket.setTimeout(LINGER_MS, () => this.#socket.destroy());
    this.#socket.end(() => this.#socket.destroy());
  }
}
