import { type Bytes, MIB, REGION_BYTES } from "../../../shared/units.js";
import { InTurn } from "../../common/in-turn.js";
import { CHUNK_BYTES, flushDisk } from "./copy-chunk.js";
import { DiskError, type Member } from "./member.js";
import type { Mirror } from "./mirror.js";
import { setBits } from "./write-intent.js";

/** So much is copied between two notes. Each flushes the member's disk, which keeps its other users waiting. */
const NOTE_BYTES: Bytes = 64 * MIB;

/**
 * Notes in a member's own record, while it is copied to, which regions it still lacks: copying that is cut short – by a
 * detach, a fence, the end of a process – goes on there (rule R7), instead of beginning anew for ever.
 *
 * The record names the data generation before the mirror's: as long as no bit was cleared since the mirror's began, what was
 * written meanwhile, to this member or not, is marked in the records of the others. Should the mirror go on without this member
 * and clear bits, its `since` becomes its generation, which is higher than this record's: then everything is copied.
 */
export class CopyNotes {
  readonly #turns = new InTurn();
  /** Regions not wholly copied. */
  readonly #lacking: Uint8Array;
  /** Chunks left in each of them. */
  readonly #left: Map<number, number>;
  #unnoted: Bytes = 0;

  /** @param bits the regions to copy */
  constructor(
    private readonly mirror: Mirror,
    private readonly member: Member,
    bits: Uint8Array,
  ) {
    this.#lacking = bits.slice();
    this.#left = new Map(setBits(bits).map((region) => [region, REGION_BYTES / CHUNK_BYTES]));
  }

  /** A chunk was copied. @throws DiskError if it was time for a note, which could not be made */
  async copied(offset: Bytes): Promise<void> {
    const region = Math.floor(offset / REGION_BYTES);
    const left = (this.#left.get(region) ?? 1) - 1;
    this.#left.set(region, left);
    if (left > 0) return;
    this.#left.delete(region);
    this.#lacking[region >>> 3] = (this.#lacking[region >>> 3] ?? 0) & ~(1 << (region & 7));
    this.#unnoted += REGION_BYTES;
    if (this.#unnoted < NOTE_BYTES) return;
    this.#unnoted = 0;
    await this.#turns.run(() => this.#note());
  }

  async #note(): Promise<void> {
    const { mirror, member } = this;
    const bits = this.#lacking.slice();
    await flushDisk(member);
    const { dataGeneration, since } = mirror.records;
    // A generation that is not durable yet may never have been: another one could begin under the same number.
    if (mirror.isHolding || member.state !== "copying" || dataGeneration - 1 < since) return;
    await new Promise<void>((resolve, reject) => {
      member.writeRecord({ dataGeneration: dataGeneration - 1, since, bits }, (errno) => {
        if (errno === 0) resolve();
        else reject(new DiskError(errno, `noting what extent ${member.dextid} lacks`));
      });
    });
  }
}
