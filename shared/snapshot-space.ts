import { type Bytes, GIB, type Gigabytes } from "./units.js";

/** What a snapshot keeps at once when its origin is written to. */
export const SNAPSHOT_CHUNK_BYTES: Bytes = 16 * 1024;
/** What it takes to write down that a chunk is kept, in the table that the sizes of snapshots are reckoned with. */
const EXCEPTION_BYTES: Bytes = 16;

/**
 * Size of the copy-on-write space of a snapshot: all of its origin's chunks, the chunks of the table (1,024 exceptions each) and
 * one of a header, rounded up. 10 GB are 11, 1,000 are 1,001. Source: the sizes of Vastsky 3.0.
 */
export function snapshotCapacity(origin: Gigabytes): Gigabytes {
  const chunks = (origin * GIB) / SNAPSHOT_CHUNK_BYTES;
  const tables = Math.ceil((chunks * EXCEPTION_BYTES) / SNAPSHOT_CHUNK_BYTES);
  return Math.ceil(((chunks + tables + 1) * SNAPSHOT_CHUNK_BYTES) / GIB);
}
