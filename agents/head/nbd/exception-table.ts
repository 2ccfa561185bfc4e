import { crc32 } from "node:zlib";
import { SNAPSHOT_CHUNK_BYTES } from "../../../shared/snapshot-space.js";
import { type Bytes, MIB } from "../../../shared/units.js";

/**
 * The exception table at the start of a snapshot's copy-on-write space: which chunks of the origin are kept there. Block 0
 * is the superblock, the others are bitmaps. Each block has two slots side by side that are written in turn, so that a torn
 * write leaves the older; the newest valid one counts. The superblock is written last when a table is made: where there
 * is one, every block has a valid slot.
 */
export const BLOCK_BYTES: Bytes = 4096;
/** Both slots of a block. */
export const PAIR_BYTES: Bytes = 2 * BLOCK_BYTES;
const HEADER_BYTES: Bytes = 64;
export const BITMAP_BYTES: Bytes = BLOCK_BYTES - HEADER_BYTES;
export const CHUNKS_PER_BLOCK = BITMAP_BYTES * 8;
const MAGIC = Buffer.from("VASSNAP1");
const FORMAT = 1;
const CRC_AT = 8;
const CRC_END = 12;
const NOT_BLANK = 1;

/** Where things are in a copy-on-write space. */
export interface SpaceGeometry {
  readonly originBytes: Bytes;
  /** Chunks of the origin. */
  readonly chunks: number;
  /** Blocks of the table, the superblock among them. */
  readonly blocks: number;
  /** Chunk i is kept at `dataStart` + i × SNAPSHOT_CHUNK_BYTES. */
  readonly dataStart: Bytes;
  /** What the space has to hold. */
  readonly end: Bytes;
}

export function spaceGeometry(originBytes: Bytes): SpaceGeometry {
  const chunks = Math.ceil(originBytes / SNAPSHOT_CHUNK_BYTES);
  const blocks = 1 + Math.ceil(chunks / CHUNKS_PER_BLOCK);
  const dataStart = Math.ceil((blocks * PAIR_BYTES) / MIB) * MIB;
  return { originBytes, chunks, blocks, dataStart, end: dataStart + chunks * SNAPSHOT_CHUNK_BYTES };
}

/** Whose block it is. */
export interface BlockOwner {
  readonly lvolid: number;
  /** Number of the block in its table. */
  readonly block: number;
}

export interface DecodedBlock {
  readonly slot: 0 | 1;
  readonly sequence: number;
  /** BITMAP_BYTES of content. */
  readonly body: Uint8Array;
}

/** What the superblock tells. */
export interface Superblock {
  readonly slot: 0 | 1;
  readonly sequence: number;
  readonly originBytes: Bytes;
  readonly chunkBytes: Bytes;
  /** The data area may hold something else than zeros where nothing is kept: an earlier attempt has used it. */
  readonly notBlank: boolean;
}

/** A slot as it is written. @param body at most BITMAP_BYTES */
export function encodeBlock(owner: BlockOwner, sequence: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(FORMAT, 12);
  bytes.writeBigUInt64LE(BigInt(sequence), 16);
  bytes.writeUInt32LE(owner.lvolid, 24);
  bytes.writeBigUInt64LE(BigInt(owner.block), 32);
  bytes.set(body, HEADER_BYTES);
  bytes.writeUInt32LE(checksum(bytes), CRC_AT);
  return bytes;
}

/**
 * The slot of a block that counts.
 *
 * @param pair PAIR_BYTES: both slots as they were read
 * @returns undefined if neither is valid
 */
export function decodeBlock(owner: BlockOwner, pair: Buffer): DecodedBlock | undefined {
  const a = decodeSlot(owner, pair.subarray(0, BLOCK_BYTES), 0);
  const b = decodeSlot(owner, pair.subarray(BLOCK_BYTES, PAIR_BYTES), 1);
  if (a === undefined || b === undefined) return a ?? b;
  return a.sequence > b.sequence ? a : b;
}

/** A slot of block 0 as it is written. */
export function encodeSuperblock(lvolid: number, superblock: Superblock): Buffer {
  const { sequence, originBytes, chunkBytes, notBlank } = superblock;
  const body = Buffer.alloc(16);
  body.writeBigUInt64LE(BigInt(originBytes), 0);
  body.writeUInt32LE(chunkBytes, 8);
  body.writeUInt32LE(notBlank ? NOT_BLANK : 0, 12);
  return encodeBlock({ lvolid, block: 0 }, sequence, body);
}

/** @param pair both slots of block 0. @returns undefined if neither is valid */
export function decodeSuperblock(lvolid: number, pair: Buffer): Superblock | undefined {
  const found = decodeBlock({ lvolid, block: 0 }, pair);
  if (found === undefined) return undefined;
  const body = Buffer.from(found.body);
  return {
    slot: found.slot,
    sequence: found.sequence,
    originBytes: Number(body.readBigUInt64LE(0)),
    chunkBytes: body.readUInt32LE(8),
    notBlank: (body.readUInt32LE(12) & NOT_BLANK) !== 0,
  };
}

function decodeSlot({ lvolid, block }: BlockOwner, slot: Buffer, index: 0 | 1): DecodedBlock | undefined {
  if (slot.length !== BLOCK_BYTES || slot.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) {
    return undefined;
  }
  if (slot.readUInt32LE(CRC_AT) !== checksum(slot) || slot.readUInt32LE(12) !== FORMAT) return undefined;
  if (slot.readUInt32LE(24) !== lvolid || Number(slot.readBigUInt64LE(32)) !== block) return undefined;
  const sequence = Number(slot.readBigUInt64LE(16));
  return { slot: index, sequence, body: Uint8Array.from(slot.subarray(HEADER_BYTES)) };
}

/** Over the whole slot, with the field itself as zero. */
function checksum(slot: Buffer): number {
  const before = crc32(slot.subarray(0, CRC_AT));
  return crc32(slot.subarray(CRC_END), crc32(Buffer.alloc(CRC_END - CRC_AT), before));
}
