import { VasError } from "../../../shared/errors.js";
import type { ParsedLinear } from "../../../shared/layout-tree.js";
import { SNAPSHOT_CHUNK_BYTES } from "../../../shared/snapshot-space.js";
import { type Bytes, GIB, MIB } from "../../../shared/units.js";
import { inParallel } from "../../common/in-parallel.js";
import { areZero } from "./buffer-list.js";
import { clearIdleBits } from "./clear-bits.js";
import type { DiskDone } from "./disk-request.js";
import {
  BITMAP_BYTES,
  BLOCK_BYTES,
  type DecodedBlock,
  decodeBlock,
  decodeSuperblock,
  encodeBlock,
  encodeSuperblock,
  PAIR_BYTES,
  type SpaceGeometry,
  type Superblock,
  spaceGeometry,
} from "./exception-table.js";
import { ExceptionWriter } from "./exception-writer.js";
import { type ChunkRun, KeptChunks } from "./kept-chunks.js";
import type { Linear } from "./linear.js";
import type { Mirror } from "./mirror.js";
import { recoverMirror } from "./recovery.js";

const PAIRS_PER_REQUEST = MIB / PAIR_BYTES;
const REQUESTS_AT_ONCE = 4;
const MIRRORS_RECOVERED_AT_ONCE = 4;

export interface SnapshotSpaceOptions {
  /** Id of the snapshot. */
  readonly lvolid: number;
  readonly linear: Linear;
  /** The mirrors of `linear`. */
  readonly mirrors: readonly Mirror[];
  readonly originBytes: Bytes;
}

/**
 * The copy-on-write space of a snapshot: its exception table and the chunks kept so far.
 *
 * Invariants (rule R9). A chunk is marked in the table only when its data is durable, and is in `kept` only when its mark is.
 * What is kept never changes. Every write here is durable when it is answered, so that nothing needs a flush.
 */
export class SnapshotSpace {
  readonly kept = new KeptChunks();
  readonly geometry: SpaceGeometry;
  readonly #options: SnapshotSpaceOptions;
  readonly #writer: ExceptionWriter;
  /** The data area holds zeros where nothing is kept. */
  #isBlank = true;

  constructor(options: SnapshotSpaceOptions) {
    this.#options = options;
    this.geometry = spaceGeometry(options.originBytes);
    this.#writer = new ExceptionWriter(options.lvolid, (offset, bytes) => this.#write(offset, [bytes]));
  }

  get mirrors(): readonly Mirror[] {
    return this.#options.mirrors;
  }

  /** Requests that its disks have answered. */
  get answered(): number {
    return this.mirrors.reduce(
      (sum, { members }) => members.reduce((part, member) => part + member.answered, sum),
      0,
    );
  }

  /**
   * Makes the space of a snapshot fit for use: one that was used before, or a fresh one.
   *
   * @throws VasError EIO, ESTALE: the content of the snapshot is lost, or can't be had
   */
  async open(): Promise<void> {
    await this.#recover();
    const blocks = await this.#readTable();
    const superblock = await this.#readSuperblock();
    if (superblock === undefined) {
      if (blocks.some((found) => found !== undefined && !isEmpty(found))) throw damaged();
      await this.#initialise();
      return;
    }
    const { originBytes } = this.geometry;
    if (superblock.originBytes !== originBytes || superblock.chunkBytes !== SNAPSHOT_CHUNK_BYTES) {
      throw new VasError("EIO", "its exception table is for a volume of another size");
    }
    this.#isBlank = !superblock.notBlank;
    for (const [piece, found] of blocks.entries()) {
      if (found === undefined) throw damaged();
      this.#adopt(piece, found);
    }
  }

  /**
   * Makes a new table, whatever is there: an earlier attempt to take the snapshot may have come so far as to keep chunks,
   * of another instant.
   *
   * @throws VasError EIO, ESTALE
   */
  async create(): Promise<void> {
    await this.#recover();
    const earlier = await this.#readSuperblock();
    this.#isBlank = earlier === undefined;
    await this.#initialise(earlier);
  }

  /**
   * Keeps chunks: returns when they are in the space and in its table, for good.
   *
   * @param data of all chunks of the run
   * @throws VasError EIO
   */
  async keep(run: ChunkRun, data: readonly Buffer[]): Promise<void> {
    // What an earlier attempt left there before a crash is the same content: an origin's chunk does not change before it is kept.
    if (!(this.#isBlank && areZero(data))) await this.#write(this.#placeOf(run.first), data);
    await this.#writer.commit(run);
    this.kept.add(run);
  }

  /** Reads from chunks that are kept. @param offset in the origin */
  read(offset: Bytes, length: Bytes, done: DiskDone): void {
    this.#options.linear.read(this.geometry.dataStart + offset, length, done);
  }

  /** Clears the bits of regions without a write. Nothing has to be flushed: all that was answered is durable. */
  clearBits(idleSweeps: number): Promise<void> {
    return clearIdleBits(this.mirrors, () => Promise.resolve(0), idleSweeps);
  }

  /** Gives the space up: nothing more is sent to it. Resolves when nothing can land there any more. */
  async discard(): Promise<void> {
    await Promise.all(this.mirrors.map((mirror) => mirror.discard()));
  }

  #placeOf(chunk: number): Bytes {
    return this.geometry.dataStart + chunk * SNAPSHOT_CHUNK_BYTES;
  }

  #recover(): Promise<void> {
    return inParallel(this.mirrors, MIRRORS_RECOVERED_AT_ONCE, recoverMirror);
  }

  #adopt(piece: number, found: DecodedBlock): void {
    this.#writer.adopt(piece, found);
    this.kept.load(piece, found.body, this.geometry.chunks);
  }

  async #readSuperblock() {
    return decodeSuperblock(this.#options.lvolid, await this.#read(0, PAIR_BYTES));
  }

  /** What counts of each bitmap block. */
  async #readTable(): Promise<(DecodedBlock | undefined)[]> {
    const { lvolid } = this.#options;
    const found: (DecodedBlock | undefined)[] = [];
    await inParallel(this.#tableRequests(), REQUESTS_AT_ONCE, async ({ first, end }) => {
      const bytes = await this.#read(first * PAIR_BYTES, (end - first) * PAIR_BYTES);
      for (let block = first; block < end; block += 1) {
        const at = (block - first) * PAIR_BYTES;
        found[block - 1] = decodeBlock({ lvolid, block }, bytes.subarray(at, at + PAIR_BYTES));
      }
    });
    return found;
  }

  /** An empty table; its superblock comes last, when all of it is durable. @param earlier the superblock that is there */
  async #initialise(earlier?: Superblock): Promise<void> {
    const { lvolid } = this.#options;
    await inParallel(this.#tableRequests(), REQUESTS_AT_ONCE, async ({ first, end }) => {
      const bytes = Buffer.alloc((end - first) * PAIR_BYTES);
      for (let block = first; block < end; block += 1) {
        encodeBlock({ lvolid, block }, 1, new Uint8Array(0)).copy(bytes, (block - first) * PAIR_BYTES);
      }
      await this.#write(first * PAIR_BYTES, [bytes]);
    });
    for (let piece = 0; piece < this.geometry.blocks - 1; piece += 1) {
      this.#adopt(piece, { slot: 0, sequence: 1, body: new Uint8Array(BITMAP_BYTES) });
    }
    const { originBytes } = this.geometry;
    // Never in the place of the one that counts: were it lost, the space would be taken for a blank one.
    const slot = earlier?.slot === 0 ? 1 : 0;
    const sequence = (earlier?.sequence ?? 0) + 1;
    const content = { originBytes, chunkBytes: SNAPSHOT_CHUNK_BYTES, notBlank: !this.#isBlank };
    await this.#write(slot * BLOCK_BYTES, [encodeSuperblock(lvolid, { ...content, slot, sequence })]);
  }

  /** The bitmap blocks, in as few requests as may be. */
  #tableRequests(): ChunkRun[] {
    const { blocks } = this.geometry;
    const requests: ChunkRun[] = [];
    for (let first = 1; first < blocks; first += PAIRS_PER_REQUEST) {
      requests.push({ first, end: Math.min(first + PAIRS_PER_REQUEST, blocks) });
    }
    return requests;
  }

  #read(offset: Bytes, length: Bytes): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#options.linear.read(offset, length, (errno, data = []) => {
        if (errno === 0) resolve(Buffer.concat(data));
        else reject(new VasError("EIO", `its copy-on-write space answered errno ${errno} to a read`));
      });
    });
  }

  #write(offset: Bytes, data: readonly Buffer[]): Promise<void> {
    const length = data.reduce((sum, { length: bytes }) => sum + bytes, 0);
    return new Promise((resolve, reject) => {
      this.#options.linear.write("write", offset, length, true, data, (errno) => {
        if (errno === 0) resolve();
        else reject(new VasError("EIO", `its copy-on-write space answered errno ${errno} to a write`));
      });
    });
  }
}

/** @throws VasError EINVAL if a copy-on-write space is too small for its origin */
export function assertSpaceFits({ components }: ParsedLinear, originBytes: Bytes): void {
  const bytes = components.reduce((sum, { capacity }) => sum + capacity * GIB, 0);
  if (bytes < spaceGeometry(originBytes).end) {
    throw new VasError("EINVAL", "the copy-on-write space of the snapshot is too small for its volume");
  }
}

function isEmpty({ body }: DecodedBlock): boolean {
  return body.every((byte) => byte === 0);
}

function damaged(): VasError {
  return new VasError("EIO", "its exception table is damaged");
}
