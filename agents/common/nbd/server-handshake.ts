import type { Socket } from "node:net";
import type { ByteQueue } from "./byte-queue.js";
import { exportFlags, infoReplies, parseInfoRequest } from "./export-info.js";
import {
  CLIENT_FLAGS_BYTES,
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  GREETING_BYTES,
  GREETING_MAGIC,
  MAX_NAME_BYTES,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  Option,
  OptionReply,
} from "./protocol.js";
import type { NbdExportInfo, NbdOpened, NbdSession } from "./server.js";

/** A name and the list of what is asked about it fit; a client that sends more is cut off. */
const MAX_OPTION_BYTES = MAX_NAME_BYTES + 1024;
const MAX_OPTIONS = 64;

const REFUSALS = {
  unknown: OptionReply.ERR_UNKNOWN,
  policy: OptionReply.ERR_POLICY,
  shutdown: OptionReply.ERR_SHUTDOWN,
} as const;

interface HandshakeOwner {
  open(name: string, infoOnly: boolean): Promise<NbdOpened>;
  list(): readonly string[];
  /** The handshake is over. */
  serve(info: NbdExportInfo, session: NbdSession): void;
}

/**
 * The option haggling of one connection. Structured replies are refused: for whole blocks of data at a time they add
 * headers and tell nothing that a simple reply does not.
 */
export class ServerHandshake {
  readonly #queue: ByteQueue;
  readonly #socket: Socket;
  readonly #owner: HandshakeOwner;
  #clientFlags: number | undefined;
  #options = 0;
  /** An export is being opened; the options behind it wait. */
  #busy = false;
  #over = false;

  constructor(queue: ByteQueue, socket: Socket, owner: HandshakeOwner) {
    this.#queue = queue;
    this.#socket = socket;
    this.#owner = owner;
    const greeting = Buffer.alloc(GREETING_BYTES);
    greeting.write(GREETING_MAGIC, "latin1");
    greeting.writeUInt16BE(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES, 16);
    socket.write(greeting);
  }

  process(): void {
    while (!this.#busy && !this.#over && !this.#socket.destroyed && this.#step());
    // What a client sends while it must wait stays in its socket.
    if (this.#busy) this.#socket.pause();
  }

  #step(): boolean {
    const queue = this.#queue;
    if (this.#clientFlags === undefined) {
      if (queue.length < CLIENT_FLAGS_BYTES) return false;
      const flags = joined(queue.take(CLIENT_FLAGS_BYTES)).readUInt32BE(0);
      if ((flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)) !== 0) return this.#cut();
      this.#clientFlags = flags;
      return true;
    }
    if (queue.length < OPTION_HEADER_BYTES) return false;
    queue.gather(OPTION_HEADER_BYTES);
    const { head, at } = queue;
    const length = head.readUInt32BE(at + 12);
    if (head.toString("latin1", at, at + 8) !== OPTION_MAGIC || length > MAX_OPTION_BYTES) return this.#cut();
    if (queue.length < OPTION_HEADER_BYTES + length) return false;
    const option = head.readUInt32BE(at + 8);
    queue.skip(OPTION_HEADER_BYTES);
    this.#options += 1;
    if (this.#options > MAX_OPTIONS) return this.#cut();
    this.#serveOption(option, joined(queue.take(length)));
    return true;
  }

  #serveOption(option: number, data: Buffer): void {
    switch (option) {
      case Option.EXPORT_NAME:
        this.#open(data.toString("utf8"), false, (opened) => this.#exportName(opened));
        break;
      case Option.ABORT:
        this.#reply(option, OptionReply.ACK);
        this.#over = true;
        this.#socket.end();
        break;
      case Option.LIST:
        this.#list(data);
        break;
      case Option.INFO:
      case Option.GO:
        this.#info(option, data);
        break;
      default:
        this.#reply(option, OptionReply.ERR_UNSUP);
    }
  }

  #list(data: Buffer): void {
    if (data.length !== 0) {
      this.#reply(Option.LIST, OptionReply.ERR_INVALID);
      return;
    }
    for (const name of this.#owner.list()) {
      const bytes = Buffer.from(name, "utf8");
      const item = Buffer.alloc(4 + bytes.length);
      item.writeUInt32BE(bytes.length, 0);
      bytes.copy(item, 4);
      this.#reply(Option.LIST, OptionReply.SERVER, item);
    }
    this.#reply(Option.LIST, OptionReply.ACK);
  }

  #info(option: number, data: Buffer): void {
    const asked = parseInfoRequest(data);
    if (asked === undefined) {
      this.#reply(option, OptionReply.ERR_INVALID, Buffer.from("the option's lengths do not fit"));
      return;
    }
    this.#open(asked.name, option === Option.INFO, (opened) => {
      if ("refuse" in opened) {
        this.#reply(option, REFUSALS[opened.refuse], Buffer.from(opened.message));
        return;
      }
      for (const reply of infoReplies(opened.info, asked)) this.#reply(option, OptionReply.INFO, reply);
      this.#reply(option, OptionReply.ACK);
      if (option === Option.INFO) opened.session.closed();
      else this.#serve(opened);
    });
  }

  /** The old way to choose an export: it can only be refused by closing. */
  #exportName(opened: NbdOpened): void {
    if ("refuse" in opened) {
      this.#cut();
      return;
    }
    const zeroes = ((this.#clientFlags ?? 0) & FLAG_NO_ZEROES) === 0 ? 124 : 0;
    const answer = Buffer.alloc(10 + zeroes);
    answer.writeBigUInt64BE(BigInt(opened.info.size), 0);
    answer.writeUInt16BE(exportFlags(opened.info), 8);
    this.#socket.write(answer);
    this.#serve(opened);
  }

  #open(name: string, infoOnly: boolean, then: (opened: NbdOpened) => void): void {
    this.#busy = true;
    this.#owner.open(name, infoOnly).then(
      (opened) => {
        this.#busy = false;
        if (this.#socket.destroyed) {
          if ("session" in opened) opened.session.closed();
          return;
        }
        this.#socket.resume();
        then(opened);
        this.process();
      },
      () => this.#cut(),
    );
  }

  #serve(opened: { readonly info: NbdExportInfo; readonly session: NbdSession }): void {
    this.#over = true;
    this.#owner.serve(opened.info, opened.session);
  }

  #reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): void {
    const header = Buffer.alloc(OPTION_REPLY_HEADER_BYTES);
    header.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(data.length, 16);
    this.#socket.write(data.length === 0 ? header : Buffer.concat([header, data]));
  }

  #cut(): false {
    this.#over = true;
    this.#socket.destroy();
    return false;
  }
}

/** The few bytes of an option in one piece. */
function joined(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}
