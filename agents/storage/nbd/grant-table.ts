import { z } from "zod";
import { VasError } from "../../../shared/errors.js";
import type { Bytes } from "../../../shared/units.js";
import { describeIssue, wireCounter, wireId } from "../../../shared/wire-types.js";

const extent = z
  .object({ start: wireCounter, end: wireCounter, dextid: wireId })
  .refine(({ start, end }) => start < end, { error: "must end behind its start" });

/** What volumes may touch on one disk: bytes from `start` up to, not including, `end`. */
const grantsDocument = z.object({
  grants: z.array(z.object({ lvolid: wireId, epoch: wireCounter, extents: z.array(extent) })),
  /** This epoch and all before it are closed for ever, whatever stands in `grants`. */
  revoked: z.array(z.object({ lvolid: wireId, epoch: wireCounter })),
});

/**
 * The extents of one volume and epoch.
 *
 * Invariant: sorted, and no two overlap.
 */
export class GrantedExtents {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;

  /** @throws VasError EINVAL if two overlap */
  constructor(extents: readonly { readonly start: Bytes; readonly end: Bytes }[]) {
    const sorted = [...extents].sort((a, b) => a.start - b.start);
    this.#starts = Float64Array.from(sorted, ({ start }) => start);
    this.#ends = Float64Array.from(sorted, ({ end }) => end);
    for (const [place, end] of this.#ends.entries()) {
      if (end > (this.#starts[place + 1] ?? Number.POSITIVE_INFINITY)) {
        throw new VasError("EINVAL", `two granted extents overlap at byte ${this.#starts[place + 1]}`);
      }
    }
  }

  /** Whether all of it lies in one extent: one that crosses into a neighbour is a mistake even if both are granted. */
  covers(offset: Bytes, length: Bytes): boolean {
    const place = this.#lastStartAtOrBefore(offset);
    return place >= 0 && offset + length <= (this.#ends[place] ?? 0);
  }

  #lastStartAtOrBefore(offset: Bytes): number {
    let low = -1;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** All grants on one disk, at one instant. */
export class GrantTable {
  readonly #granted = new Map<string, GrantedExtents>();

  /**
   * @param document `{grants: [{lvolid, epoch, extents: [{start, end, dextid}]}], revoked: [{lvolid, epoch}]}`
   * @throws VasError EINVAL if it is not of that form, or one volume's extents overlap
   */
  constructor(document: unknown) {
    const parsed = grantsDocument.safeParse(document);
    if (!parsed.success)
      throw new VasError("EINVAL", `the grants can't be used: ${describeIssue(parsed.error)}`);
    const { grants, revoked } = parsed.data;
    const closed = new Map<number, number>();
    for (const { lvolid, epoch } of revoked) closed.set(lvolid, Math.max(epoch, closed.get(lvolid) ?? -1));
    for (const { lvolid, epoch, extents } of grants) {
      if (epoch > (closed.get(lvolid) ?? -1))
        this.#granted.set(key(lvolid, epoch), new GrantedExtents(extents));
    }
  }

  /** @returns undefined if that epoch of the volume is not granted; a grant without extents here is one all the same */
  extentsOf(lvolid: number, epoch: number): GrantedExtents | undefined {
    return this.#granted.get(key(lvolid, epoch));
  }
}

function key(lvolid: number, epoch: number): string {
  return `${lvolid}/${epoch}`;
}
