import type { Socket } from "node:net";
import type { Bytes } from "../../../shared/units.js";
import type { ByteQueue } from "./byte-queue.js";
import type { NbdConnectFailure } from "./client.js";
import {
  CLIENT_FLAGS_BYTES,
  FIRST_ERROR_REPLY,
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  GREETING_BYTES,
  GREETING_MAGIC,
  Info,
  MAX_REQUEST_BYTES,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  Option,
  OptionReply,
  TransmissionFlag,
} from "./protocol.js";

/** What the server told about the export that it opened. */
export interface OpenedExport {
  readonly size: Bytes;
  readonly description: string;
  readonly maxRequest: Bytes;
  /** Bits of TransmissionFlag. */
  readonly flags: number;
}

interface HandshakeOwner {
  opened(opened: OpenedExport): void;
  failed(reason: NbdConnectFailure, message: string): void;
}

/** Longest reply to an option that we read: a name or a description, which have 4096 bytes. */
const MAX_REPLY_BYTES = 16_384;
const ASKED = [Info.DESCRIPTION, Info.BLOCK_SIZE];

/** Chooses an export by NBD_OPT_GO. */
export class ClientHandshake {
  readonly #queue: ByteQueue;
  readonly #socket: Socket;
  readonly #exportName: string;
  readonly #owner: HandshakeOwner;
  #greeted = false;
  #over = false;
  #size: Bytes | undefined;
  #flags = 0;
  #description = "";
  #maxRequest: Bytes = MAX_REQUEST_BYTES;

  constructor(queue: ByteQueue, socket: Socket, exportName: string, owner: HandshakeOwner) {
    this.#queue = queue;
    this.#socket = socket;
    this.#exportName = exportName;
    this.#owner = owner;
  }

  process(): void {
    while (!this.#over && this.#step());
  }

  #step(): boolean {
    const queue = this.#queue;
    if (!this.#greeted) {
      if (queue.length < GREETING_BYTES) return false;
      queue.gather(GREETING_BYTES);
      const { head, at } = queue;
      if (head.toString("latin1", at, at + 16) !== GREETING_MAGIC)
        return this.#fail("protocol", "it is no NBD server");
      const flags = head.readUInt16BE(at + 16);
      if ((flags & FLAG_FIXED_NEWSTYLE) === 0)
        return this.#fail("protocol", "it lacks the fixed newstyle handshake");
      queue.skip(GREETING_BYTES);
      this.#greeted = true;
      this.#socket.write(goRequest(this.#exportName, flags & FLAG_NO_ZEROES));
      return true;
    }
    if (queue.length < OPTION_REPLY_HEADER_BYTES) return false;
    queue.gather(OPTION_REPLY_HEADER_BYTES);
    const { head, at } = queue;
    const length = head.readUInt32BE(at + 16);
    const fits = head.readBigUInt64BE(at) === OPTION_REPLY_MAGIC && head.readUInt32BE(at + 8) === Option.GO;
    if (!fits || length > MAX_REPLY_BYTES)
      return this.#fail("protocol", "it answered something else than was asked");
    if (queue.length < OPTION_REPLY_HEADER_BYTES + length) return false;
    const type = head.readUInt32BE(at + 12);
    queue.skip(OPTION_REPLY_HEADER_BYTES);
    this.#take(type, Buffer.concat(queue.take(length)));
    return true;
  }

  #take(type: number, data: Buffer): void {
    if (type >= FIRST_ERROR_REPLY) this.#refused(type, data.toString("utf8"));
    else if (type === OptionReply.ACK) this.#opened();
    else if (type === OptionReply.INFO) this.#takeInfo(data);
  }

  #takeInfo(data: Buffer): void {
    const type = data.length < 2 ? -1 : data.readUInt16BE(0);
    if (type === Info.EXPORT && data.length === 12) {
      this.#size = Number(data.readBigUInt64BE(2));
      this.#flags = data.readUInt16BE(10);
    } else if (type === Info.DESCRIPTION) {
      this.#description = data.toString("utf8", 2);
    } else if (type === Info.BLOCK_SIZE && data.length === 14) {
      this.#maxRequest = Math.min(MAX_REQUEST_BYTES, data.readUInt32BE(10));
    }
  }

  #opened(): void {
    if (this.#size === undefined || this.#size > Number.MAX_SAFE_INTEGER) {
      this.#fail("protocol", "it did not tell a size that we can use");
      return;
    }
    this.#over = true;
    this.#owner.opened({
      size: this.#size,
      description: this.#description,
      maxRequest: this.#maxRequest,
      flags: (this.#flags & TransmissionFlag.HAS_FLAGS) === 0 ? 0 : this.#flags,
    });
  }

  #refused(type: number, message: string): void {
    const text =
      message === "" ? `the export "${this.#exportName}" is refused (${type.toString(16)})` : message;
    if (type === OptionReply.ERR_POLICY) this.#fail("policy", text);
    else if (type === OptionReply.ERR_UNKNOWN) this.#fail("unknown", text);
    else if (type === OptionReply.ERR_SHUTDOWN) this.#fail("shutdown", text);
    else this.#fail("protocol", text);
  }

  #fail(reason: NbdConnectFailure, message: string): false {
    this.#over = true;
    this.#owner.failed(reason, message);
    return false;
  }
}

function goRequest(exportName: string, noZeroes: number): Buffer {
  const name = Buffer.from(exportName, "utf8");
  const bytes = Buffer.alloc(CLIENT_FLAGS_BYTES + OPTION_HEADER_BYTES + 6 + name.length + 2 * ASKED.length);
  let at = bytes.writeUInt32BE(FLAG_FIXED_NEWSTYLE | noZeroes, 0);
  at += bytes.write(OPTION_MAGIC, at, "latin1");
  at = bytes.writeUInt32BE(Option.GO, at);
  at = bytes.writeUInt32BE(6 + name.length + 2 * ASKED.length, at);
  at = bytes.writeUInt32BE(name.length, at);
  at += name.copy(bytes, at);
  at = bytes.writeUInt16BE(ASKED.length, at);
  for (const info of ASKED) at = bytes.writeUInt16BE(info, at);
  return bytes;
}
