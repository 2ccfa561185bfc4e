import { CHUNK_BYTES } from "./copy-chunk.js";
import { RangeHolder, type RangeLock } from "./range-lock.js";

/** A chunk for whoever copies or compares alone: writers and copiers never cross on it. */
class ChunkLock extends RangeHolder {
  constructor(
    offset: number,
    override readonly granted: () => void,
  ) {
    super(offset, offset + CHUNK_BYTES);
  }
}

/** Does something with a chunk while nobody writes there. */
export async function withChunk<T>(lock: RangeLock, offset: number, work: () => Promise<T>): Promise<T> {
  const holder = await new Promise<ChunkLock>((resolve) => {
    const wish: ChunkLock = new ChunkLock(offset, () => resolve(wish));
    lock.acquire(wish);
  });
  try {
    return await work();
  } finally {
    lock.release(holder);
  }
}
