import { VasError } from "../../../shared/errors.js";
import { UNIT_MARGIN } from "../../../shared/iscsi-names.js";
import { type Bytes, SECTOR_BYTES, type Sectors } from "../../../shared/units.js";
import type { DmTable, Segment } from "../../common/device-mapper.js";

/** The block device that a disk is. */
export interface DiskPlace {
  /** `major:minor`. */
  readonly number: string;
  readonly bytes: Bytes;
}

interface Range {
  readonly start: Bytes;
  readonly end: Bytes;
}

/**
 * The table of a unit's device, which is the grant itself: what is granted leads to the disk, and everything else is an
 * error. In front and behind there are zeros, see `UNIT_MARGIN`.
 *
 * @throws VasError EINVAL if extents overlap, or lie outside the disk
 */
export function grantTable(extents: readonly Range[], disk: DiskPlace): DmTable {
  const margin: Segment = { sectors: sectorsOf(UNIT_MARGIN), target: "zero" };
  const segments: Segment[] = [];
  let at: Bytes = 0;
  const refuseUpTo = (place: Bytes): void => {
    if (place > at) segments.push({ sectors: sectorsOf(place - at), target: "error" });
  };
  for (const { start, end } of joined(extents)) {
    if (start < at || end > disk.bytes)
      throw new VasError(
        "EINVAL",
        `the extent at byte ${start} overlaps another one, or ends behind the disk`,
      );
    refuseUpTo(start);
    segments.push({
      sectors: sectorsOf(end - start),
      target: `linear ${disk.number} ${sectorsOf(start)}`,
    });
    at = end;
  }
  refuseUpTo(disk.bytes);
  return [margin, ...segments, margin];
}

/** A table that answers errors and nothing else. */
export function closedTable(sectors: Sectors): DmTable {
  return [{ sectors, target: "error" }];
}

/** The length of a device whose table this is, as `tablesOf` has it. */
export function lengthOf(table: string): Sectors {
  const [start, length] = (table.split("\n").at(-1) ?? "").split(" ").map(Number);
  return (start ?? 0) + (length ?? 0);
}

/** The disk that a table leads to, as `major:minor`; undefined if it leads to none. */
export function diskOf(table: string): string | undefined {
  return / linear (\d+:\d+) /.exec(table)?.[1];
}

/** In order, and neighbours as one: each segment costs a flush of its own. */
function joined(extents: readonly Range[]): Range[] {
  const runs: Range[] = [];
  for (const extent of [...extents].sort((a, b) => a.start - b.start)) {
    const last = runs.at(-1);
    if (last?.end === extent.start) runs[runs.length - 1] = { start: last.start, end: extent.end };
    else runs.push(extent);
  }
  return runs;
}

const sectorsOf = (bytes: Bytes): Sectors => bytes / SECTOR_BYTES;
