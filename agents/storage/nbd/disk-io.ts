import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  openSync,
  readSync,
  writeSync,
  writevSync,
} from "node:fs";
import type { Bytes } from "../../../shared/units.js";
import { NbdErrno, nbdErrnoOf } from "../../common/nbd/protocol.js";
import { AlignedMemory, isRefused } from "../aligned-memory.js";
import type { SyncMark } from "./disk-life.js";
import { MAX_HOLE_BYTES, makeHole, type TargetKind, ZERO_BY_PROGRAM_BYTES } from "./make-hole.js";

/** Reads share a slab of this size, or of the longest read. Using it again saves up to 40 % of the CPU time of large reads. */
const SLAB_BYTES: Bytes = 262_144;
const ZEROS = Buffer.alloc(1024 * 1024);
/** `writev` takes at most this many pieces (IOV_MAX). */
const MAX_PIECES = 1024;

interface Place {
  readonly offset: Bytes;
  readonly length: Bytes;
}

export interface DiskIoOptions {
  /** Called once, when all answers are EIO from now on, with the errno that the disk gave. */
  readonly onBroken?: (errno: number) => void;
  /** Set while the kernel is asked to make something durable, and if that failed. */
  readonly syncMark?: SyncMark;
}

/** A disk can't be opened; the message is a sentence for people. */
export class DiskOpenError extends Error {
  override readonly name = "DiskOpenError";
}

/**
 * Reads and writes a file or block device, synchronously: without the detour through the thread pool a 4 KiB operation
 * costs a third (57,000 reads a second became 199,000), and nothing is ever under way between two events.
 *
 * Answers are errnos of the NBD protocol. After a failed fdatasync the kernel has forgotten which pages it could not
 * write, and the next one would lie (rule R5); after a failed write the content is unknown. So after either all answers
 * are EIO, until the process is started anew, in another life of the disk.
 */
export class DiskIo {
  readonly #fd: number;
  /**
   * The same disk for writes that must be durable when they return (O_DSYNC). An fdatasync after a FUA write would
   * write out all that lies in the page cache: behind 16 MiB of other writes 16 ms, against 0.5 ms this way (ext4,
   * `node bench/durable-write.mjs`), and before each first write to a region a FUA write records its bit.
   */
  readonly #durableFd: number;
  readonly #kind: TargetKind;
  /** The same disk past the page cache, opened when it is first asked for. */
  #directFd: number | undefined;
  #aligned: AlignedMemory | undefined;
  #broken = false;
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;

  /** @throws DiskOpenError if it can't be opened, or is a file of less than `bytes` */
  constructor(
    path: string,
    bytes: Bytes,
    private readonly options: DiskIoOptions = {},
  ) {
    try {
      // Never O_CREAT: an empty file in the place of a disk that is not mounted would look like a disk of zeros.
      this.#fd = openSync(path, constants.O_RDWR);
      this.#durableFd = openSync(path, constants.O_RDWR | constants.O_DSYNC);
    } catch (cause) {
      throw new DiskOpenError(`the disk ${path} can't be opened: ${(cause as Error).message}`, { cause });
    }
    const stat = fstatSync(this.#fd);
    this.#kind = stat.isBlockDevice() ? "block" : "file";
    if (!stat.isBlockDevice() && (!stat.isFile() || stat.size < bytes)) {
      this.close();
      throw new DiskOpenError(`the disk ${path} is no file of at least ${bytes} bytes, nor a block device`);
    }
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** @returns the data, or an errno. The next read overwrites the data, unless `keep` is called. */
  read(offset: Bytes, length: Bytes): Buffer | number {
    if (this.#broken) return NbdErrno.EIO;
    if (this.#slab.length - this.#used < length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(length, SLAB_BYTES));
      this.#used = 0;
    }
    const target = this.#slab.subarray(this.#used, this.#used + length);
    try {
      let got = 0;
      while (got < length) {
        const count = readSync(this.#fd, target, got, length - got, offset + got);
        // Behind the end of the file: it was cut off since it was opened.
        if (count === 0) return NbdErrno.EIO;
        got += count;
      }
      return target;
    } catch (error) {
      return nbdErrnoOf(error);
    }
  }

  /**
   * Reads what is on the disk itself, past the page cache where the file system allows that.
   *
   * @returns the data, which is the caller's, or an errno
   */
  readPastCache(offset: Bytes, length: Bytes): Buffer | number {
    if (this.#broken) return NbdErrno.EIO;
    if (this.#aligned === undefined || this.#aligned.length < length)
      this.#aligned = new AlignedMemory(length);
    try {
      this.#directFd ??= openSync(`/proc/self/fd/${this.#fd}`, constants.O_RDONLY | constants.O_DIRECT);
      const read = this.#readDirectly(this.#directFd, this.#aligned, { offset, length });
      if (read !== undefined) return Buffer.from(read);
    } catch (error) {
      // Its file system has no such reads.
      if (!isRefused(error)) return nbdErrnoOf(error);
    }
    const data = this.read(offset, length);
    return typeof data === "number" ? data : Buffer.from(data);
  }

  /** @returns undefined if the kernel refuses that, wherever the memory lies */
  #readDirectly(fd: number, memory: AlignedMemory, { offset, length }: Place): Buffer | undefined {
    for (const target of memory.places(length)) {
      try {
        for (let got = 0; got < length; ) {
          const count = readSync(fd, target, got, length - got, offset + got);
          if (count === 0) throw Object.assign(new Error("the disk ends there"), { code: "EIO" });
          got += count;
        }
        return target;
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    }
    return undefined;
  }

  /** The data of the last read is still needed: it waits in a socket. */
  keep(data: Buffer): void {
    this.#used += data.length;
  }

  write(offset: Bytes, payload: readonly Buffer[], durable: boolean): number {
    if (!durable) return this.#change(false, () => this.#writeAll(this.#fd, offset, payload));
    const answer = this.#change(false, () =>
      this.#marked(() => this.#writeAll(this.#durableFd, offset, payload)),
    );
    // What could not be written may have been earlier writes as well; a flush tells.
    if (answer !== NbdErrno.OK && !this.#broken) this.#sync();
    return answer;
  }

  /** Makes a range read as zeros. @param allocated keep its room on the disk */
  zero(range: Place, allocated: boolean, durable: boolean): number {
    return this.#change(durable, () => {
      const { offset, length } = range;
      let byProgram = length >= ZERO_BY_PROGRAM_BYTES;
      for (let done = 0; done < length; done += MAX_HOLE_BYTES) {
        const piece = { offset: offset + done, length: Math.min(MAX_HOLE_BYTES, length - done) };
        byProgram &&= makeHole(this.#fd, this.#kind, piece, allocated);
        if (!byProgram) this.#writeZeros(piece.offset, piece.length);
      }
    });
  }

  flush(): number {
    return this.#change(true, () => undefined);
  }

  close(): void {
    closeSync(this.#fd);
    closeSync(this.#durableFd);
    if (this.#directFd !== undefined) closeSync(this.#directFd);
  }

  #change(sync: boolean, act: () => void): number {
    if (this.#broken) return NbdErrno.EIO;
    try {
      act();
    } catch (error) {
      const errno = nbdErrnoOf(error);
      if (errno === NbdErrno.EIO) this.#break(errno);
      return errno;
    }
    return sync ? this.#sync() : NbdErrno.OK;
  }

  #sync(): number {
    try {
      this.#marked(() => fdatasyncSync(this.#fd));
      return NbdErrno.OK;
    } catch (error) {
      this.#break(nbdErrnoOf(error));
      return NbdErrno.EIO;
    }
  }

  /** The mark stays where this fails, or does not return. */
  #marked(act: () => void): void {
    this.options.syncMark?.set();
    act();
    this.options.syncMark?.clear();
  }

  #break(errno: number): void {
    this.#broken = true;
    this.options.onBroken?.(errno);
  }

  #writeZeros(offset: Bytes, length: Bytes): void {
    for (let done = 0; done < length; done += ZEROS.length) {
      this.#writeAll(this.#fd, offset + done, [ZEROS.subarray(0, Math.min(ZEROS.length, length - done))]);
    }
  }

  #writeAll(fd: number, offset: Bytes, payload: readonly Buffer[]): void {
    let pieces: readonly Buffer[] = payload;
    let at = offset;
    while (pieces.length > 0) {
      const [first] = pieces;
      const written =
        pieces.length === 1 && first !== undefined
          ? writeSync(fd, first, 0, first.length, at)
          : writevSync(fd, pieces.length > MAX_PIECES ? pieces.slice(0, MAX_PIECES) : pieces, at);
      at += written;
      pieces = behind(pieces, written);
    }
  }
}

/** What is left of the pieces behind their first `count` bytes. */
function behind(pieces: readonly Buffer[], count: Bytes): readonly Buffer[] {
  let left = count;
  let place = 0;
  for (const piece of pieces) {
    if (piece.length > left) break;
    left -= piece.length;
    place += 1;
  }
  const rest = pieces.slice(place);
  if (left > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(left);
  return rest;
}
