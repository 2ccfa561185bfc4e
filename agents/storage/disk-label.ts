import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { type Bytes, labelOffset, MIB, usableGigabytes } from "../../shared/units.js";

/** What a disk says of itself, so that it keeps its identity when its device name moves (rule R12). */
export interface DiskLabel {
  readonly cluster: string;
  readonly pdskid: number;
  /** Size of the whole disk when the label was written, from which the label's place follows. */
  readonly bytes: Bytes;
}

/** What stands at the place of a label. */
export type LabelFinding =
  | { readonly kind: "label"; readonly label: DiskLabel }
  /** It begins as a label does, and its checksum or content is wrong. */
  | { readonly kind: "damaged" }
  | { readonly kind: "none" };

const MAGIC = Buffer.from("VASDISK1", "latin1");
const VERSION = 1;
/** One sector of 4096 bytes: written whole or not at all by any disk of today. */
const LABEL_BYTES = 4096;
const CRC_AT = 8;
const VERSION_AT = 12;
const PDSKID_AT = 16;
const CAPACITY_AT = 20;
const CLUSTER_LENGTH_AT = 28;
const CLUSTER_AT = 32;
const MAX_CLUSTER_BYTES = 256;

/** The content of a label: little-endian, with the CRC-32 of itself with that field zero. */
export function encodeLabel(label: DiskLabel): Buffer {
  const cluster = Buffer.from(label.cluster, "utf8");
  if (cluster.length > MAX_CLUSTER_BYTES)
    throw new RangeError(`a cluster id has at most ${MAX_CLUSTER_BYTES} bytes`);
  const sector = Buffer.alloc(LABEL_BYTES);
  MAGIC.copy(sector);
  sector.writeUInt32LE(VERSION, VERSION_AT);
  sector.writeUInt32LE(label.pdskid, PDSKID_AT);
  sector.writeBigUInt64LE(BigInt(label.bytes), CAPACITY_AT);
  sector.writeUInt32LE(cluster.length, CLUSTER_LENGTH_AT);
  cluster.copy(sector, CLUSTER_AT);
  sector.writeUInt32LE(crc32(sector), CRC_AT);
  return sector;
}

export function decodeLabel(sector: Buffer): LabelFinding {
  if (sector.length < LABEL_BYTES || !sector.subarray(0, MAGIC.length).equals(MAGIC)) return { kind: "none" };
  const copy = Buffer.from(sector.subarray(0, LABEL_BYTES));
  copy.writeUInt32LE(0, CRC_AT);
  const length = sector.readUInt32LE(CLUSTER_LENGTH_AT);
  const isSound =
    crc32(copy) === sector.readUInt32LE(CRC_AT) &&
    sector.readUInt32LE(VERSION_AT) === VERSION &&
    length >= 1 &&
    length <= MAX_CLUSTER_BYTES;
  if (!isSound) return { kind: "damaged" };
  const label = {
    cluster: sector.toString("utf8", CLUSTER_AT, CLUSTER_AT + length),
    pdskid: sector.readUInt32LE(PDSKID_AT),
    bytes: Number(sector.readBigUInt64LE(CAPACITY_AT)),
  };
  return { kind: "label", label };
}

/** Reads the label that a disk of this size has, or had when it was of this size. */
export async function readLabel(disk: FileHandle, bytes: Bytes): Promise<LabelFinding> {
  return decodeLabel(await readFully(disk, labelOffset(usableGigabytes(bytes)), LABEL_BYTES));
}

/** Makes the label of a disk durable, at the place that its size asks for. */
export async function writeLabel(disk: FileHandle, label: DiskLabel): Promise<void> {
  const sector = encodeLabel(label);
  await disk.write(sector, 0, sector.length, labelOffset(usableGigabytes(label.bytes)));
  await disk.datasync();
}

/** Whether a disk is empty where a file system, a partition table or a label would be. */
export async function isBlank(disk: FileHandle, bytes: Bytes): Promise<boolean> {
  const label = labelOffset(usableGigabytes(bytes));
  for (const start of [0, label - MIB, label, bytes - MIB]) {
    const from = Math.max(0, start);
    const piece = await readFully(disk, from, Math.min(MIB, bytes - from));
    if (piece.some((byte) => byte !== 0)) return false;
  }
  return true;
}

/** As many of the bytes as there are before the end of the disk. */
async function readFully(disk: FileHandle, position: Bytes, length: Bytes): Promise<Buffer> {
  const piece = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await disk.read(piece, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return piece.subarray(0, done);
}
