import { crc32 } from "node:zlib";
import { GIB, MIB, REGION_BYTES } from "../../../shared/units.js";

/**
 * The record that each member keeps in the metadata space of its extent: whose it is, which writes it has seen, and
 * which regions may differ from the other members. Two slots are written in turn, so that a torn write leaves the older.
 */
const REGION_MIB = REGION_BYTES / MIB;
/** Distance of slot B from slot A, in bytes. */
export const SLOT_DISTANCE = 128 * 1024;
const HEADER_BYTES = 64;
const BLOCK_BYTES = 4096;
const MAGIC = Buffer.from("VASMEMB1");
const FORMAT = 1;
const CRC_AT = 8;
const CRC_END = 12;

/** What must match for a record to count: an extent that was given out anew holds no record of its new owner. */
export interface RecordOwner {
  readonly lvolid: number;
  readonly mirrorid: number;
  readonly dextid: number;
  /** Generation of the extent: raised at each allocation and each shred. */
  readonly extentGeneration: number;
}

/** What a record says of the content of its member. */
export interface RecordContent {
  /** Membership version from which on the member has seen every write. */
  readonly dataGeneration: number;
  /** The bitmap covers every region written after this data generation began. */
  readonly since: number;
  /** One bit a region, bit b of byte k standing for region 8k + b. */
  readonly bits: Uint8Array;
}

export interface MemberRecord extends RecordContent {
  /** The slot with the higher one is current. */
  readonly sequence: number;
  /** The slot it was read from. */
  readonly slot: 0 | 1;
}

/** @param length size of the extent's data in GB */
export function regionCount(length: number): number {
  return (length * GIB) / REGION_BYTES;
}

/** Size of one slot in bytes. @param length size of the extent's data in GB */
export function slotBytes(length: number): number {
  return Math.ceil((HEADER_BYTES + regionCount(length) / 8) / BLOCK_BYTES) * BLOCK_BYTES;
}

/** A slot as it is written. */
export function encodeRecord(
  owner: RecordOwner,
  content: RecordContent,
  sequence: number,
  length: number,
): Buffer {
  const slot = Buffer.alloc(slotBytes(length));
  MAGIC.copy(slot, 0);
  slot.writeUInt32LE(FORMAT, 12);
  slot.writeBigUInt64LE(BigInt(sequence), 16);
  slot.writeUInt32LE(owner.lvolid, 24);
  slot.writeUInt32LE(owner.mirrorid, 28);
  slot.writeUInt32LE(owner.dextid, 32);
  slot.writeUInt32LE(REGION_MIB, 36);
  slot.writeBigUInt64LE(BigInt(owner.extentGeneration), 40);
  slot.writeBigUInt64LE(BigInt(content.dataGeneration), 48);
  slot.writeBigUInt64LE(BigInt(content.since), 56);
  slot.set(content.bits, HEADER_BYTES);
  slot.writeUInt32LE(crc32(slot), CRC_AT);
  return slot;
}

/**
 * The current record of a member.
 *
 * @param slots what was read of slot A and slot B
 * @returns undefined if neither counts: the extent is blank
 */
export function decodeRecord(
  owner: RecordOwner,
  slots: readonly [Buffer, Buffer],
  length: number,
): MemberRecord | undefined {
  const a = decodeSlot(owner, slots[0], 0, length);
  const b = decodeSlot(owner, slots[1], 1, length);
  if (a === undefined || b === undefined) return a ?? b;
  return a.sequence > b.sequence ? a : b;
}

function decodeSlot(
  owner: RecordOwner,
  slot: Buffer,
  index: 0 | 1,
  length: number,
): MemberRecord | undefined {
  if (slot.length !== slotBytes(length) || slot.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0)
    return undefined;
  if (slot.readUInt32LE(CRC_AT) !== checksum(slot) || slot.readUInt32LE(12) !== FORMAT) return undefined;
  const isOurs =
    slot.readUInt32LE(24) === owner.lvolid &&
    slot.readUInt32LE(28) === owner.mirrorid &&
    slot.readUInt32LE(32) === owner.dextid &&
    slot.readUInt32LE(36) === REGION_MIB &&
    Number(slot.readBigUInt64LE(40)) === owner.extentGeneration;
  if (!isOurs) return undefined;
  return {
    slot: index,
    sequence: Number(slot.readBigUInt64LE(16)),
    dataGeneration: Number(slot.readBigUInt64LE(48)),
    since: Number(slot.readBigUInt64LE(56)),
    bits: Uint8Array.from(slot.subarray(HEADER_BYTES, HEADER_BYTES + regionCount(length) / 8)),
  };
}

function checksum(slot: Buffer): number {
  const before = crc32(slot.subarray(0, CRC_AT));
  return crc32(slot.subarray(CRC_END), crc32(Buffer.alloc(CRC_END - CRC_AT), before));
}
