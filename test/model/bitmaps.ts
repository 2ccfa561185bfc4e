import { closeSync, openSync, readSync } from "node:fs";
import {
  decodeRecord,
  type MemberRecord,
  SLOT_DISTANCE,
  slotBytes,
} from "../../agents/head/nbd/member-record.js";
import { getBit } from "../../agents/head/nbd/write-intent.js";
import { MemberStatus } from "../../shared/states.js";
import { extentPlace, GIB, REGION_BYTES } from "../../shared/units.js";
import { LVOLID } from "../volume/rig.js";
import { type Range, SECTOR } from "./history.js";
import type { Lane } from "./lane.js";
import { MIRRORS, WINDOWS } from "./schedule.js";

interface Found {
  readonly dextid: number;
  readonly record: MemberRecord | undefined;
}

/**
 * What the records must say while no volume process lives (rules R6 and R7): where two INSYNC members differ, the region's bit
 * is set on all of them; where a member that was dropped differs from them, it is named by their bits or its own, unless
 * all of it is going to be copied anyway.
 *
 * @returns what is wrong; undefined if nothing is
 */
export function wrongBitmap(lane: Lane): string | undefined {
  for (let mirror = 0; mirror < MIRRORS; mirror += 1) {
    const insync = lane.members(mirror, MemberStatus.INSYNC).map((dextid) => find(lane, mirror, dextid));
    const since = Math.max(...insync.map(({ record }) => record?.since ?? 0));
    const spare = lane
      .members(mirror, MemberStatus.SPARE)
      .map((dextid) => find(lane, mirror, dextid))
      .filter(({ record }) => record !== undefined && record.dataGeneration >= since);
    for (const range of rangesOf(mirror)) {
      const contents = new Map(
        [...insync, ...spare].map(({ dextid }) => [
          dextid,
          lane.rig.peek(mirror, dextid % 100, range.start, range.length),
        ]),
      );
      for (let at = 0; at < range.length; at += SECTOR) {
        const region = Math.floor((range.start + at) / REGION_BYTES);
        const sector = ({ dextid }: Found) =>
          contents.get(dextid)?.subarray(at, at + SECTOR) ?? Buffer.alloc(0);
        const isSet = ({ record }: Found) => record !== undefined && getBit(record.bits, region);
        const where = `region ${region} of mirror ${mirror}, sector at ${range.start + at}`;
        const differ = insync.some((one) => !sector(one).equals(sector(insync[0] as Found)));
        if (differ && !insync.every(isSet))
          return `${where}: INSYNC members differ, and not all have the bit`;
        for (const one of spare) {
          const isSame = insync.every((other) => sector(other).equals(sector(one)));
          if (!isSame && !isSet(one) && !insync.some(isSet))
            return `${where}: dropped member ${one.dextid} differs, and nobody has the bit`;
        }
      }
    }
  }
  return undefined;
}

/** The windows as ranges of one mirror's data. */
export function rangesOf(mirror: number): Range[] {
  return WINDOWS.flatMap(({ start, length }) => {
    const from = Math.max(start, mirror * GIB);
    const to = Math.min(start + length, (mirror + 1) * GIB);
    return from < to ? [{ start: from - mirror * GIB, length: to - from }] : [];
  });
}

function find(lane: Lane, mirror: number, dextid: number): Found {
  const file = openSync(lane.rig.disk(dextid % 100).path, "r");
  const slot = (at: number): Buffer => {
    const bytes = Buffer.alloc(slotBytes(1));
    readSync(file, bytes, 0, bytes.length, extentPlace(mirror, 1).start + at);
    return bytes;
  };
  const owner = { lvolid: LVOLID, mirrorid: lane.rig.mirrorid(mirror), dextid, extentGeneration: 1 };
  const record = decodeRecord(owner, [slot(0), slot(SLOT_DISTANCE)], 1);
  closeSync(file);
  return { dextid, record };
}
