import {
  Info,
  MAX_NAME_BYTES,
  MAX_REQUEST_BYTES,
  PREFERRED_BLOCK_BYTES,
  TransmissionFlag,
} from "./protocol.js";
import type { NbdExportInfo } from "./server.js";

/** What a client asks with NBD_OPT_INFO or NBD_OPT_GO. */
export interface InfoRequest {
  readonly name: string;
  /** Numbers of `Info`, and perhaps ones that we do not know. */
  readonly infos: readonly number[];
}

export function exportFlags(info: NbdExportInfo): number {
  return (
    TransmissionFlag.HAS_FLAGS |
    (info.readOnly ? TransmissionFlag.READ_ONLY : 0) |
    (info.canFlush ? TransmissionFlag.SEND_FLUSH : 0) |
    (info.canFua ? TransmissionFlag.SEND_FUA : 0) |
    (info.canTrim ? TransmissionFlag.SEND_TRIM : 0) |
    (info.canZero ? TransmissionFlag.SEND_WRITE_ZEROES : 0) |
    (info.multiConn ? TransmissionFlag.CAN_MULTI_CONN : 0)
  );
}

/** @returns undefined if the lengths in it do not fit, or the name is too long */
export function parseInfoRequest(data: Buffer): InfoRequest | undefined {
  if (data.length < 6) return undefined;
  const nameLength = data.readUInt32BE(0);
  if (nameLength > MAX_NAME_BYTES || data.length < 6 + nameLength) return undefined;
  const count = data.readUInt16BE(4 + nameLength);
  if (data.length !== 6 + nameLength + 2 * count) return undefined;
  const infos = Array.from({ length: count }, (_, place) => data.readUInt16BE(6 + nameLength + 2 * place));
  return { name: data.toString("utf8", 4, 4 + nameLength), infos };
}

/** The payloads of the NBD_REP_INFO replies. Size and flags are always told, so is the block size: we have a longest. */
export function infoReplies(info: NbdExportInfo, asked: InfoRequest): Buffer[] {
  const size = infoReply(Info.EXPORT, 10);
  size.writeBigUInt64BE(BigInt(info.size), 2);
  size.writeUInt16BE(exportFlags(info), 10);
  const blocks = infoReply(Info.BLOCK_SIZE, 12);
  blocks.writeUInt32BE(1, 2);
  blocks.writeUInt32BE(PREFERRED_BLOCK_BYTES, 6);
  blocks.writeUInt32BE(MAX_REQUEST_BYTES, 10);
  const replies = [size, blocks];
  if (asked.infos.includes(Info.NAME)) replies.push(textReply(Info.NAME, asked.name));
  if (info.description !== undefined && asked.infos.includes(Info.DESCRIPTION)) {
    replies.push(textReply(Info.DESCRIPTION, info.description));
  }
  return replies;
}

function infoReply(type: number, length: number): Buffer {
  const reply = Buffer.alloc(2 + length);
  reply.writeUInt16BE(type, 0);
  return reply;
}

function textReply(type: number, text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  const reply = infoReply(type, bytes.length);
  bytes.copy(reply, 2);
  return reply;
}
