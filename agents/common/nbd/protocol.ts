import type { Bytes } from "../../../shared/units.js";

/** The NBD protocol, fixed newstyle, as https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md has it. */

export const GREETING_MAGIC = "NBDMAGICIHAVEOPT";
/** Each option of a client begins with it. */
export const OPTION_MAGIC = "IHAVEOPT";
export const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;

/** Handshake flags; the client answers with the same two. */
export const FLAG_FIXED_NEWSTYLE = 1;
export const FLAG_NO_ZEROES = 2;

export const GREETING_BYTES = 18;
export const CLIENT_FLAGS_BYTES = 4;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;
export const REQUEST_BYTES = 28;
export const REPLY_BYTES = 16;

export const Option = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
} as const;

export const OptionReply = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  ERR_UNSUP: 0x8000_0001,
  ERR_POLICY: 0x8000_0002,
  ERR_INVALID: 0x8000_0003,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_SHUTDOWN: 0x8000_0007,
} as const;
/** Replies from this number on are errors, with a text for people. */
export const FIRST_ERROR_REPLY = 0x8000_0000;

export const Info = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** What an export can do. */
export const TransmissionFlag = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  CAN_MULTI_CONN: 1 << 8,
} as const;

export const Command = { READ: 0, WRITE: 1, DISCONNECT: 2, FLUSH: 3, TRIM: 4, WRITE_ZEROES: 6 } as const;
export const CommandFlag = { FUA: 1, NO_HOLE: 2 } as const;

/** Longest read or write; longer ones are refused. Zeroes and trims, which carry no data, are not bound by it. */
export const MAX_REQUEST_BYTES: Bytes = 32 * 1024 * 1024;
/** Longest zeroes or trim: the length has 32 bits. */
export const MAX_ZERO_BYTES: Bytes = 0xffff_ffff;
/** What we tell clients to prefer: smaller requests work. */
export const PREFERRED_BLOCK_BYTES: Bytes = 4096;
/** Longest name of an export, by the protocol. */
export const MAX_NAME_BYTES: Bytes = 4096;

/** The errors that a reply can carry: Linux's numbers, and no others. */
export const NbdErrno = {
  OK: 0,
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/**
 * Given to a request that was not answered because its connection ended: whether it was carried out is unknown. It is
 * no errno of the protocol (those are positive); a client never sends it on.
 */
export const NBD_CONNECTION_LOST = -1;

/**
 * The errno to answer for a failed system call on a disk: EIO if the protocol has none for it. EPERM and EACCES become EIO
 * too, since to its receivers EPERM says that a grant is missing.
 */
export function nbdErrnoOf(error: unknown): number {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case "ENOSPC":
    case "EDQUOT":
      return NbdErrno.ENOSPC;
    case "EINVAL":
      return NbdErrno.EINVAL;
    case "ENOMEM":
      return NbdErrno.ENOMEM;
    default:
      return NbdErrno.EIO;
  }
}
