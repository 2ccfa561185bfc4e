import { type Bytes, EXTENT_UNIT_BYTES, MIB } from "../../shared/units.js";

/** A program that makes a range of the file or device that it is given as descriptor 3 read as zeros. */
export interface ZeroTool {
  readonly argv: (offset: Bytes, length: Bytes) => readonly string[];
  /** One run of it does this much at most, so that progress is seen and a stop is not long in coming. */
  readonly piece: Bytes;
  /** The part of a range's bytes that counts towards the disk's rate. */
  readonly share: number;
}

/** The open file itself is handed over: its name could have come to mean another disk. */
const TARGET = "/proc/self/fd/3";
const range = (offset: Bytes, length: Bytes) => ["--offset", `${offset}`, "--length", `${length}`, TARGET];
const IN_FULL = 1;

const punchHole: ZeroTool = {
  argv: (offset, length) => ["fallocate", "--punch-hole", ...range(offset, length)],
  piece: 4 * EXTENT_UNIT_BYTES,
  // A hole is made in the file system's books alone: a MiB for each GiB, as its journal is written all the same.
  share: 1 / 1024,
};

const zeroDevice: ZeroTool = {
  argv: (offset, length) => ["blkdiscard", "--zeroout", "--force", ...range(offset, length)],
  piece: 256 * MIB,
  // In full: where a device has no command for it the kernel writes, and many a disk writes for the command too.
  share: IN_FULL,
};

const writeZeros = (oflag: string): ZeroTool => ({
  argv: (offset, length) => [
    "dd",
    "if=/dev/zero",
    `of=${TARGET}`,
    "bs=1M",
    "iflag=count_bytes",
    `count=${length}`,
    `oflag=${oflag}`,
    `seek=${offset}`,
    // Each piece is on the disk before the next: users' flushes never wait for more than one.
    "conv=notrunc,nocreat,fdatasync",
    "status=none",
  ],
  piece: 64 * MIB,
  share: IN_FULL,
});

/** What is tried in turn: a tool that can't do it here gives way to the next for the rest of a range. */
export const zeroTools: Readonly<Record<"file" | "block", readonly ZeroTool[]>> = {
  file: [punchHole, writeZeros("seek_bytes")],
  // Past the page cache: of a killed tool nothing is left there that would be written later.
  block: [zeroDevice, writeZeros("seek_bytes,direct")],
};
