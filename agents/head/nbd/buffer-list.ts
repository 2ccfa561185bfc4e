/** The bytes from `start` to `end` of several buffers, without copying them. */
export function sliceBuffers(buffers: readonly Buffer[], start: number, end: number): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (const buffer of buffers) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, buffer.length);
    if (from < to) parts.push(buffer.subarray(from, to));
    at += buffer.length;
  }
  return parts;
}

const ZEROS = Buffer.alloc(64 * 1024);

/** Whether all bytes of them are 0. */
export function areZero(buffers: readonly Buffer[]): boolean {
  return buffers.every((piece) => {
    for (let at = 0; at < piece.length; at += ZEROS.length) {
      const end = Math.min(piece.length, at + ZEROS.length);
      if (piece.compare(ZEROS, 0, end - at, at, end) !== 0) return false;
    }
    return true;
  });
}
