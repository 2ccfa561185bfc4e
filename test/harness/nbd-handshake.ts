import type { Socket } from "node:net";
import type { ByteReader } from "./byte-reader.js";

const OPTION_MAGIC = 0x49484156454f5054n;
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const OPT_GO = 7;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const INFO_EXPORT = 0;
const FIRST_ERROR_REPLY = 0x8000_0000;

/** The server refused: `code` is an errno, or the number of an option's error reply. */
export class NbdError extends Error {
  override readonly name = "NbdError";
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Asks for an export.
 *
 * @returns its size in bytes.
 * @throws NbdError if it is refused.
 */
export async function negotiate(socket: Socket, reader: ByteReader, exportName: string): Promise<number> {
  const greeting = await reader.read(18);
  if (greeting.toString("latin1", 0, 16) !== "NBDMAGICIHAVEOPT") throw new Error("not an NBD server");
  const name = Buffer.from(exportName);
  const hello = Buffer.alloc(4 + 16 + 4 + name.length + 2);
  hello.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
  hello.writeBigUInt64BE(OPTION_MAGIC, 4);
  hello.writeUInt32BE(OPT_GO, 12);
  hello.writeUInt32BE(4 + name.length + 2, 16);
  hello.writeUInt32BE(name.length, 20);
  name.copy(hello, 24);
  socket.write(hello);
  let size = 0;
  for (;;) {
    const reply = await reader.read(20);
    if (reply.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC) throw new Error("not an option reply");
    const type = reply.readUInt32BE(12);
    const payload = await reader.read(reply.readUInt32BE(16));
    if (type === REPLY_ACK) return size;
    if (type >= FIRST_ERROR_REPLY)
      throw new NbdError(type - FIRST_ERROR_REPLY, `export refused: ${payload.toString()}`);
    if (type === REPLY_INFO && payload.readUInt16BE(0) === INFO_EXPORT)
      size = Number(payload.readBigUInt64BE(2));
  }
}
