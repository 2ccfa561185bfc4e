import { GIB } from "../../../shared/units.js";
import { sliceBuffers } from "./buffer-list.js";
import type { DiskCommand, DiskDone } from "./disk-request.js";
import type { Mirror } from "./mirror.js";

/** A piece of a request that lies within one mirror. */
interface Piece {
  readonly mirror: Mirror;
  /** Within the mirror, in bytes. */
  readonly offset: number;
  readonly length: number;
}

/** The mirrors of a volume one after the other. Cuts requests at their boundaries, which are at whole gigabytes. */
export class Linear {
  readonly size: number;
  /** The mirror at each gigabyte, and where that mirror starts in bytes. */
  readonly #mirrors: Mirror[] = [];
  readonly #starts: number[] = [];

  constructor(mirrors: readonly Mirror[]) {
    let start = 0;
    for (const mirror of mirrors) {
      for (let at = 0; at < mirror.size; at += GIB) {
        this.#mirrors.push(mirror);
        this.#starts.push(start);
      }
      start += mirror.size;
    }
    this.size = start;
  }

  read(offset: number, length: number, done: DiskDone): void {
    const [first, ...more] = this.#cut(offset, length);
    if (first === undefined || more.length === 0) {
      first?.mirror.read(first.offset, length, done);
      return;
    }
    const pieces = [first, ...more];
    const parts: (readonly Buffer[])[] = [];
    const one = collect(pieces.length, (errno) => done(errno, parts.flat()));
    for (const [index, piece] of pieces.entries()) {
      piece.mirror.read(piece.offset, piece.length, (errno, data = []) => {
        parts[index] = data;
        one(errno);
      });
    }
  }

  write(
    command: DiskCommand,
    offset: number,
    length: number,
    fua: boolean,
    payload: readonly Buffer[],
    done: (errno: number) => void,
  ): void {
    const pieces = this.#cut(offset, length);
    const [first] = pieces;
    if (first !== undefined && pieces.length === 1) {
      first.mirror.write(command, first.offset, length, fua, payload, done);
      return;
    }
    const one = collect(pieces.length, done);
    let from = 0;
    for (const piece of pieces) {
      const part = payload.length === 0 ? payload : sliceBuffers(payload, from, from + piece.length);
      from += piece.length;
      piece.mirror.write(command, piece.offset, piece.length, fua, part, one);
    }
  }

  /** Whether a mirror in this range has lost writes that it had answered: all its requests get EIO. */
  isBroken(offset: number, length: number): boolean {
    return this.#cut(offset, length).some(({ mirror }) => mirror.errno !== 0);
  }

  #cut(offset: number, length: number): Piece[] {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const place = Math.floor(at / GIB);
      const mirror = this.#mirrors[place] as Mirror; // the server refuses requests beyond the end
      const start = this.#starts[place] as number; // as long as #mirrors
      const end = Math.min(offset + length, start + mirror.size);
      pieces.push({ mirror, offset: at - start, length: end - at });
      at = end;
    }
    return pieces;
  }
}

/** Calls back after so many answers, with the last error among them. */
export function collect(count: number, done: (errno: number) => void): (errno: number) => void {
  let left = count;
  let failure = 0;
  return (errno) => {
    if (errno !== 0) failure = errno;
    left -= 1;
    if (left === 0) done(failure);
  };
}
