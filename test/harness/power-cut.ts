import { closeSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Bytes } from "../../shared/units.js";

/**
 * Disks in files that lose power: of what no FLUSH, FUA or fdatasync has covered, any part is gone. What there is to undo
 * is in the journals that power-cut-preload.mjs keeps in the processes that use the disk.
 */
const SECTOR: Bytes = 512;
const HEAD_BYTES = 32;
const Kind = { OLD: 1, DURABLE: 2, FLUSH: 3 } as const;

interface Entry {
  readonly kind: number;
  /** On the clock of all processes, in ns. */
  readonly time: bigint;
  readonly offset: Bytes;
  readonly length: Bytes;
  /** What stood there before; of OLD only. */
  readonly bytes: Buffer;
}

/** Environment for processes whose disks are to lose power. @param disks absolute paths of their files */
export function powerCutEnvironment(disks: readonly string[]): NodeJS.ProcessEnv {
  const preload = new URL("power-cut-preload.mjs", import.meta.url).href;
  return { NODE_OPTIONS: `--import=${preload}`, VAS_POWER_DISKS: disks.join(":") };
}

/** What a disk did with what it had not been told to keep. */
const fates = ["nothing was kept", "some writes", "the first writes", "some sectors"] as const;
/** As a function: whether the sector that begins at this byte of the disk keeps what was written last. */
export type Fate = (typeof fates)[number] | ((offset: Bytes) => boolean);

/**
 * Cuts the power of a disk: undoes a random part of its unflushed changes. All processes that use it must be dead.
 *
 * @param random a number from 0 to below its argument
 * @returns how many sectors were not durable, and how many of them lost something
 */
export function cutPower(
  disk: string,
  random: (below: number) => number,
  fate: Fate = fates[random(fates.length)] ?? fates[0],
): { readonly unflushed: number; readonly lost: number } {
  const names = readdirSync(dirname(disk)).filter((name) => name.startsWith(`${basename(disk)}.unflushed.`));
  const journals = names.map((name) => join(dirname(disk), name));
  const entries = journals.flatMap(readJournal).sort((a, b) => (a.time < b.time ? -1 : 1));
  const unflushed = unflushedSectors(entries);
  const isKept = keeper(fate, random, entries.length);
  const file = openSync(disk, "r+");
  let lost = 0;
  for (const [sector, versions] of unflushed) {
    // The content after one change is the content before the next one; after the last it is what the disk has now.
    let last = versions.length - 1;
    while (last >= 0 && !isKept(versions[last]?.write ?? 0, sector * SECTOR)) last -= 1;
    const after = versions[last + 1];
    if (after === undefined) continue;
    lost += restore(file, sector * SECTOR, after.before);
  }
  closeSync(file);
  for (const journal of journals) rmSync(journal);
  return { unflushed: unflushed.size, lost };
}

/** @returns 1 if that changed anything */
function restore(file: number, offset: Bytes, bytes: Buffer): number {
  const now = Buffer.alloc(SECTOR);
  readSync(file, now, 0, SECTOR, offset);
  if (now.equals(bytes)) return 0;
  writeSync(file, bytes, 0, SECTOR, offset);
  return 1;
}

function keeper(
  fate: Fate,
  random: (below: number) => number,
  writes: number,
): (write: number, offset: Bytes) => boolean {
  if (typeof fate === "function") return (_, offset) => fate(offset);
  if (fate === "nothing was kept") return () => false;
  if (fate === "some sectors") return () => random(2) === 0;
  const first = random(writes + 1);
  const some = Array.from({ length: writes }, () => random(2) === 0);
  return fate === "the first writes" ? (write) => write < first : (write) => some[write] === true;
}

/** By number of the sector: which changes may be gone, in order, and what stood there before each. */
function unflushedSectors(entries: readonly Entry[]): Map<number, { write: number; before: Buffer }[]> {
  const flush = entries.findLast(({ kind }) => kind === Kind.FLUSH)?.time ?? 0n;
  const sectors = new Map<number, { write: number; before: Buffer }[]>();
  for (const [write, { kind, time, offset, length, bytes }] of entries.entries()) {
    if (kind === Kind.FLUSH || time < flush) continue;
    for (let at = 0; at < length; at += SECTOR) {
      const sector = (offset + at) / SECTOR;
      if (kind === Kind.DURABLE) sectors.delete(sector);
      else {
        const versions = sectors.get(sector) ?? [];
        versions.push({ write, before: bytes.subarray(at, at + SECTOR) });
        sectors.set(sector, versions);
      }
    }
  }
  return sectors;
}

function readJournal(path: string): Entry[] {
  const text = readFileSync(path);
  const entries: Entry[] = [];
  for (let at = 0; at + HEAD_BYTES <= text.length; ) {
    const [kind, time, offset, length] = [0, 8, 16, 24].map((field) => text.readBigUInt64LE(at + field));
    const size = kind === BigInt(Kind.OLD) ? Number(length) : 0;
    const bytes = text.subarray(at + HEAD_BYTES, at + HEAD_BYTES + size);
    at += HEAD_BYTES + size;
    // Whoever was killed in the middle of an entry has not changed anything yet.
    if (bytes.length < size) break;
    entries.push({
      kind: Number(kind),
      time: time ?? 0n,
      offset: Number(offset),
      length: Number(length),
      bytes,
    });
  }
  return entries;
}
