import { MIB, REGION_BYTES } from "../../../shared/units.js";
import { areZero } from "./buffer-list.js";
import { DiskError, type Member } from "./member.js";

/** What a copier reads, locks and writes at once. A region has whole chunks. */
export const CHUNK_BYTES = MIB;
const CHUNKS_PER_REGION = REGION_BYTES / CHUNK_BYTES;

/** Where the chunks of a region start. */
export function chunksOf(region: number): number[] {
  return Array.from({ length: CHUNKS_PER_REGION }, (_, at) => region * REGION_BYTES + at * CHUNK_BYTES);
}

/** @throws DiskError */
export function readChunk(member: Member, offset: number): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const done = (errno: number, data: readonly Buffer[] = []): void => {
      if (errno === 0) resolve(data);
      else reject(new DiskError(errno, `reading extent ${member.dextid} at ${offset}`));
    };
    member.read(offset, CHUNK_BYTES, done, false);
  });
}

/**
 * Makes a chunk of a member equal to what was read elsewhere. Zeros are written only where there is something else, so
 * that a sparse disk stays sparse.
 *
 * @throws DiskError
 */
export async function writeChunk(member: Member, offset: number, data: readonly Buffer[]): Promise<void> {
  if (areZero(data) && areZero(await readChunk(member, offset))) return;
  await new Promise<void>((resolve, reject) => {
    member.write("write", offset, CHUNK_BYTES, false, data, (errno) => {
      if (errno === 0) resolve();
      else reject(new DiskError(errno, `writing extent ${member.dextid} at ${offset}`));
    });
  });
}

/** @throws DiskError */
export function flushDisk(member: Member): Promise<void> {
  return new Promise((resolve, reject) => {
    member.disk.flush((errno) => {
      if (errno === 0) resolve();
      else reject(new DiskError(errno, `flushing ${member.disk.name}`));
    });
  });
}
