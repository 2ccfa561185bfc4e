import type { Socket } from "node:net";
import type { Clock } from "../../../shared/clock.js";
import type { Bytes, Milliseconds } from "../../../shared/units.js";
import type { ByteQueue } from "./byte-queue.js";
import type { NbdClient, NbdDone, NbdReadDone } from "./client.js";
import type { OpenedExport } from "./client-handshake.js";
import { Outbox } from "./outbox.js";
import {
  Command,
  CommandFlag,
  NBD_CONNECTION_LOST,
  REPLY_BYTES,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_MAGIC,
  TransmissionFlag,
} from "./protocol.js";

const NO_DATA: readonly Buffer[] = [];

/** A request without an answer. Its cookie is its serial and its slot, so that an answer to an older one is noticed. */
interface Pending {
  readonly serial: number;
  /** Bytes that follow a good reply. */
  readonly expected: Bytes;
  readonly since: Milliseconds;
  readonly done: NbdReadDone;
}

/** The requests and replies of one connection, after its handshake. */
export class ClientConnection implements NbdClient {
  readonly size: Bytes;
  readonly description: string;
  readonly maxRequest: Bytes;
  readonly readOnly: boolean;
  readonly canFlush: boolean;
  readonly canFua: boolean;
  readonly canTrim: boolean;
  readonly canZero: boolean;
  inFlight = 0;
  lastHeard: Milliseconds;
  readonly #socket: Socket;
  readonly #queue: ByteQueue;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #slots: (Pending | undefined)[] = [];
  readonly #free: number[] = [];
  #serial = 0;
  /** The slot of the read whose data is being received; -1 = a header comes next. */
  #receiving = -1;
  #reason: Error | undefined;
  #closed = false;

  constructor(
    streams: { readonly socket: Socket; readonly queue: ByteQueue },
    opened: OpenedExport,
    owner: { onClose(reason: Error): void; readonly clock: Clock },
  ) {
    const can = (flag: number): boolean => (opened.flags & flag) !== 0;
    this.size = opened.size;
    this.description = opened.description;
    this.maxRequest = opened.maxRequest;
    this.readOnly = can(TransmissionFlag.READ_ONLY);
    this.canFlush = can(TransmissionFlag.SEND_FLUSH);
    this.canFua = can(TransmissionFlag.SEND_FUA);
    this.canTrim = can(TransmissionFlag.SEND_TRIM);
    this.canZero = can(TransmissionFlag.SEND_WRITE_ZEROES);
    this.#socket = streams.socket;
    this.#queue = streams.queue;
    this.#outbox = new Outbox(streams.socket);
    this.#clock = owner.clock;
    this.lastHeard = owner.clock.monotonic();
    streams.socket.on("error", (error) => this.#end(error));
    streams.socket.once("end", () => this.#end(new Error("the server ended the connection")));
    streams.socket.once("close", () => {
      this.#end(new Error("the connection ended"));
      this.#closed = true;
      owner.onClose(this.#reason ?? new Error("the connection ended"));
      this.#loseAll();
    });
  }

  get unsent(): Bytes {
    return this.#outbox.unsent;
  }

  oldestAge(): Milliseconds | undefined {
    let oldest: Milliseconds | undefined;
    for (const pending of this.#slots) {
      if (pending !== undefined && (oldest === undefined || pending.since < oldest)) oldest = pending.since;
    }
    return oldest === undefined ? undefined : this.#clock.monotonic() - oldest;
  }

  read(offset: Bytes, length: Bytes, done: NbdReadDone, fua = false): void {
    this.#send(Command.READ, fua ? CommandFlag.FUA : 0, offset, length, this.#register(length, done));
  }

  write(offset: Bytes, length: Bytes, payload: readonly Buffer[], fua: boolean, done: NbdDone): void {
    this.#send(Command.WRITE, fua ? CommandFlag.FUA : 0, offset, length, this.#register(0, done));
    if (this.#reason === undefined) for (const piece of payload) this.#outbox.add(piece);
  }

  flush(done: NbdDone): void {
    this.#send(Command.FLUSH, 0, 0, 0, this.#register(0, done));
  }

  trim(offset: Bytes, length: Bytes, fua: boolean, done: NbdDone): void {
    this.#send(Command.TRIM, fua ? CommandFlag.FUA : 0, offset, length, this.#register(0, done));
  }

  writeZeroes(offset: Bytes, length: Bytes, fua: boolean, done: NbdDone): void {
    this.#send(Command.WRITE_ZEROES, fua ? CommandFlag.FUA : 0, offset, length, this.#register(0, done));
  }

  destroy(): void {
    this.#end(new Error("the connection was closed on our side"));
  }

  /** Takes the replies that have come. */
  process(): void {
    this.lastHeard = this.#clock.monotonic();
    while (this.#reason === undefined && this.#step());
  }

  #step(): boolean {
    const queue = this.#queue;
    if (this.#receiving >= 0) return this.#takeData(this.#receiving);
    if (queue.length < REPLY_BYTES) return false;
    queue.gather(REPLY_BYTES);
    const { head, at } = queue;
    const errno = head.readUInt32BE(at + 4);
    const slot = head.readUInt32BE(at + 12);
    const pending = this.#slots[slot];
    if (head.readUInt32BE(at) !== SIMPLE_REPLY_MAGIC || pending?.serial !== head.readUInt32BE(at + 8)) {
      this.#end(new Error("the server sent no reply to a request of ours"));
      return false;
    }
    queue.skip(REPLY_BYTES);
    if (errno === 0 && pending.expected > 0) return this.#takeData(slot);
    this.#release(slot);
    pending.done(errno, NO_DATA);
    return true;
  }

  /** Only whole: half the data of a read is of no use to its owner. */
  #takeData(slot: number): boolean {
    const pending = this.#slots[slot];
    if (pending === undefined || this.#queue.length < pending.expected) {
      this.#receiving = slot;
      return false;
    }
    this.#receiving = -1;
    const data = this.#queue.take(pending.expected);
    this.#release(slot);
    pending.done(0, data);
    return true;
  }

  #release(slot: number): void {
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    this.inFlight -= 1;
  }

  /** @returns the slot of a new request */
  #register(expected: Bytes, done: NbdReadDone): number {
    const slot = this.#free.pop() ?? this.#slots.length;
    this.#serial = (this.#serial + 1) >>> 0;
    this.#slots[slot] = { serial: this.#serial, expected, since: this.#clock.monotonic(), done };
    this.inFlight += 1;
    if (this.#closed) queueMicrotask(() => this.#loseAll());
    return slot;
  }

  #send(command: number, flags: number, offset: Bytes, length: Bytes, slot: number): void {
    if (this.#reason !== undefined) return;
    const at = this.#outbox.reserve(REQUEST_BYTES);
    const { slab } = this.#outbox;
    slab.writeUInt32BE(REQUEST_MAGIC, at);
    slab.writeUInt16BE(flags, at + 4);
    slab.writeUInt16BE(command, at + 6);
    slab.writeUInt32BE(this.#serial, at + 8);
    slab.writeUInt32BE(slot, at + 12);
    slab.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), at + 16);
    slab.writeUInt32BE(offset >>> 0, at + 20);
    slab.writeUInt32BE(length, at + 24);
  }

  /** From now on nothing is sent or taken. */
  #end(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#queue.clear();
    this.#socket.destroy();
  }

  #loseAll(): void {
    // All are taken out first: an owner may make new requests while it is told.
    const lost = [...this.#slots.entries()].filter(([, pending]) => pending !== undefined);
    for (const [slot] of lost) this.#release(slot);
    for (const [, pending] of lost) pending?.done(NBD_CONNECTION_LOST, NO_DATA);
  }
}
