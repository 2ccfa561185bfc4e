import { type Bytes, MIB } from "../../shared/units.js";

/** Something that bytes are written to and read from, many requests at once. */
export interface ByteDevice {
  write(offset: number, data: Buffer): Promise<void>;
  read(offset: number, length: number): Promise<Buffer>;
  /** What was acknowledged is durable when this returns. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** No request is longer. */
export const CHUNK: Bytes = MIB;
/** Requests under way at once. */
const DEPTH = 8;

/** Runs the work of every chunk of a range, several at once. */
async function forEachChunk(
  length: number,
  work: (at: number, size: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < length) {
      const at = next;
      next += CHUNK;
      await work(at, Math.min(CHUNK, length - at));
    }
  };
  await Promise.all(Array.from({ length: DEPTH }, worker));
}

/** Writes all of the data; `onProgress` is told the bytes acknowledged so far. */
export async function writeAll(
  client: Pick<ByteDevice, "write">,
  offset: number,
  data: Buffer,
  onProgress: (done: number) => void = () => {},
): Promise<void> {
  let done = 0;
  await forEachChunk(data.length, async (at, size) => {
    await client.write(offset + at, data.subarray(at, at + size));
    done += size;
    onProgress(done);
  });
}

/** @returns the offset of the first chunk that does not read as the data; undefined if all do. */
export async function firstMismatch(
  client: Pick<ByteDevice, "read">,
  offset: number,
  data: Buffer,
): Promise<number | undefined> {
  let mismatch: number | undefined;
  await forEachChunk(data.length, async (at, size) => {
    const read = await client.read(offset + at, size);
    if (!read.equals(data.subarray(at, at + size))) mismatch = Math.min(mismatch ?? at, at);
  });
  return mismatch;
}
