import { crc32 } from "node:zlib";

/**
 * What is written: cells of 64 bytes, each of which says which volume, which place and which write it is of, with a
 * checksum. A cell never crosses a page, so that it is written whole or not at all.
 */
export const CELL_BYTES = 64;
const MAGIC = 0x43454c4c;
const CRC_AT = CELL_BYTES - 4;
const ZEROS = Buffer.alloc(CELL_BYTES);

/** What a cell holds: the number of a write; 0 = zeros; otherwise what is wrong with it. */
export type Found = number | string;

/** The cells from `first` on, as the write with this number makes them. */
export function encodeCells(volume: number, first: number, count: number, sequence: number): Buffer {
  const bytes = Buffer.alloc(count * CELL_BYTES, sequence & 0xff);
  for (let index = 0; index < count; index += 1) {
    const at = index * CELL_BYTES;
    bytes.writeUInt32LE(MAGIC, at);
    bytes.writeUInt32LE(volume, at + 4);
    bytes.writeUInt32LE(first + index, at + 8);
    bytes.writeUInt32LE(sequence, at + 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + CRC_AT)), at + CRC_AT);
  }
  return bytes;
}

/** @param cell its place in the volume, which must stand in it */
export function decodeCell(volume: number, cell: number, bytes: Buffer): Found {
  if (bytes.equals(ZEROS)) return 0;
  if (bytes.readUInt32LE(0) !== MAGIC) return `no cell: ${bytes.toString("hex", 0, 16)}`;
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return "a cell with a wrong checksum";
  const [owner, place] = [bytes.readUInt32LE(4), bytes.readUInt32LE(8)];
  if (owner !== volume || place !== cell) return `cell ${place} of volume ${owner}`;
  return bytes.readUInt32LE(12);
}
