import { REGION_BYTES } from "../../../shared/units.js";
import type { RecordContent } from "./member-record.js";

/**
 * The write-intent bitmap of one mirror, in memory.
 *
 * Invariants: a durable bit is marked; data may be sent only to regions whose bit is durable; a bit is cleared only
 * while no write of its region is under way.
 */
export class WriteIntent {
  /** Bits that are, or are about to be, in the records. */
  readonly marked: Uint8Array;
  readonly #durable: Uint8Array;
  /** Writes under way in each region. */
  readonly #underWay: Uint32Array;
  /** Sweep in which each region was last written. */
  readonly #touched: Uint32Array;
  #sweep = 2;
  readonly regions: number;

  constructor(regions: number) {
    this.regions = regions;
    this.marked = new Uint8Array(Math.ceil(regions / 8));
    this.#durable = new Uint8Array(this.marked.length);
    this.#underWay = new Uint32Array(regions);
    this.#touched = new Uint32Array(regions);
  }

  /** A write begins. @returns true if the bits of all its regions are durable; else they are marked now. */
  begin(offset: number, length: number): boolean {
    let durable = true;
    const last = lastRegion(offset, length);
    for (let region = firstRegion(offset); region <= last; region += 1) {
      this.#underWay[region] = (this.#underWay[region] ?? 0) + 1;
      this.#touched[region] = this.#sweep;
      if (getBit(this.#durable, region)) continue;
      setBit(this.marked, region);
      durable = false;
    }
    return durable;
  }

  /** A write that began has ended, well or not. */
  end(offset: number, length: number): void {
    const last = lastRegion(offset, length);
    for (let region = firstRegion(offset); region <= last; region += 1) {
      this.#underWay[region] = (this.#underWay[region] ?? 1) - 1;
      this.#touched[region] = this.#sweep;
    }
  }

  /** The records hold these bits. */
  confirm(bits: Uint8Array): void {
    orBits(this.#durable, bits);
  }

  /** Marks what records hold already. */
  adopt(bits: Uint8Array): void {
    orBits(this.marked, bits);
    orBits(this.#durable, bits);
  }

  /**
   * A sweep begins: the members are going to be flushed.
   *
   * @param idleSweeps a region counts if it was not written for so many sweeps; 0 takes all without writes under way
   * @returns the regions whose bits may go if that flush succeeds; undefined if there are none
   */
  beginSweep(idleSweeps: number): Uint8Array | undefined {
    const candidates = this.#quiet(this.marked, this.#sweep - idleSweeps);
    this.#sweep += 1;
    return candidates.some((byte) => byte !== 0) ? candidates : undefined;
  }

  /** The flush succeeded: clears the candidates that were not written since before it began. */
  endSweep(candidates: Uint8Array): void {
    const clear = this.#quiet(candidates, this.#sweep - 1);
    for (let at = 0; at < clear.length; at += 1) {
      const keep = ~(clear[at] ?? 0);
      this.marked[at] = (this.marked[at] ?? 0) & keep;
      this.#durable[at] = (this.#durable[at] ?? 0) & keep;
    }
  }

  /** Of these regions, the ones without a write under way and not written after the given sweep. */
  #quiet(bits: Uint8Array, sweep: number): Uint8Array {
    const quiet = new Uint8Array(bits.length);
    for (const region of setBits(bits)) {
      if (this.#underWay[region] === 0 && (this.#touched[region] ?? 0) <= sweep) setBit(quiet, region);
    }
    return quiet;
  }
}

/**
 * Which regions a member lacks when it comes back (rule R7).
 *
 * @param member its record; undefined if its extent is blank
 * @returns bits of the regions to copy
 */
export function regionsToCopy(
  mirror: RecordContent,
  member: RecordContent | undefined,
  regions: number,
): Uint8Array {
  const bits = new Uint8Array(Math.ceil(regions / 8));
  if (member === undefined || member.dataGeneration < mirror.since) {
    for (let region = 0; region < regions; region += 1) setBit(bits, region);
    return bits;
  }
  orBits(bits, mirror.bits);
  orBits(bits, member.bits);
  return bits;
}

export function getBit(bits: Uint8Array, index: number): boolean {
  return ((bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
}

export function setBit(bits: Uint8Array, index: number): void {
  bits[index >>> 3] = (bits[index >>> 3] ?? 0) | (1 << (index & 7));
}

export function orBits(into: Uint8Array, from: Uint8Array): void {
  for (let at = 0; at < into.length; at += 1) into[at] = (into[at] ?? 0) | (from[at] ?? 0);
}

/** The indexes of the set bits, in order. */
export function setBits(bits: Uint8Array): number[] {
  const indexes: number[] = [];
  for (let at = 0; at < bits.length; at += 1) {
    const byte = bits[at] ?? 0;
    for (let bit = 0; byte >> bit !== 0; bit += 1) if ((byte >> bit) & 1) indexes.push(at * 8 + bit);
  }
  return indexes;
}

const firstRegion = (offset: number): number => Math.floor(offset / REGION_BYTES);
const lastRegion = (offset: number, length: number): number =>
  Math.floor((offset + Math.max(length, 1) - 1) / REGION_BYTES);
