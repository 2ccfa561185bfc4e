import { type FileHandle, open, truncate } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { decodeLabel, encodeLabel, readLabel, writeLabel } from "../../agents/storage/disk-label.js";
import { openDisk } from "../../agents/storage/disks.js";
import { identifyDisk } from "../../agents/storage/identify-disk.js";
import { EXTENT_UNIT_BYTES, labelOffset, MIB } from "../../shared/units.js";
import { tempFolder } from "./temp-folder.js";

const BYTES = 2 * EXTENT_UNIT_BYTES + 4 * MIB;
const GROWN = 5 * EXTENT_UNIT_BYTES + 2 * MIB;
const US = { cluster: "ours", records: [], force: false };

async function makeDisk(prepare?: (handle: FileHandle) => Promise<unknown>): Promise<string> {
  const path = join(tempFolder(), "disk");
  const handle = await open(path, "w+");
  await handle.truncate(BYTES);
  await prepare?.(handle);
  await handle.close();
  return path;
}

async function identify(path: string, options: Parameters<typeof identifyDisk>[1] = US) {
  const disk = await openDisk(path, 0);
  onTestFinished(() => disk.handle.close());
  return { disk, pdskid: await identifyDisk(disk, options) };
}

test("a label is read as it was written, and no changed bit is overlooked", () => {
  const label = { cluster: "a cluster with ä", pdskid: 0x7fff_ffff, bytes: 20 * 2 ** 40 };
  const sector = encodeLabel(label);
  expect(decodeLabel(sector)).toEqual({ kind: "label", label });
  fc.assert(
    fc.property(fc.nat(sector.length - 1), fc.nat(7), (place, bit) => {
      const changed = Buffer.from(sector);
      changed[place] = (changed[place] ?? 0) ^ (1 << bit);
      expect(decodeLabel(changed).kind).not.toBe("label");
    }),
  );
});

test("a blank disk is new; with its label it has its id, wherever it is", async () => {
  const path = await makeDisk();
  expect((await identify(path)).pdskid).toBeUndefined();
  await writeLabelAt(path, "ours", 7, BYTES);
  expect((await identify(path)).pdskid).toBe(7);
});

test("a disk with any data at its ends or around the label's place is refused unless forced", async () => {
  for (const place of [0, MIB - 1, labelOffset(2) - 1, labelOffset(2) + 5000, BYTES - 1]) {
    const path = await makeDisk((handle) => handle.write(Buffer.from([1]), 0, 1, place));
    await expect(identify(path)).rejects.toThrow(/not blank.*force/);
    expect((await identify(path, { ...US, force: true })).pdskid).toBeUndefined();
  }
});

test("a disk of another cluster is refused unless forced", async () => {
  const path = await makeDisk();
  await writeLabelAt(path, "theirs", 7, BYTES);
  await expect(identify(path)).rejects.toThrow(/pdsk-00000007 of another cluster, theirs.*force/);
  expect((await identify(path, { ...US, force: true })).pdskid).toBeUndefined();
});

test("a disk with a damaged label is refused unless forced", async () => {
  const path = await makeDisk();
  await writeLabelAt(path, "ours", 7, BYTES);
  const handle = await open(path, "r+");
  await handle.write(Buffer.from([0xff]), 0, 1, labelOffset(2) + 16);
  await handle.close();
  await expect(identify(path)).rejects.toThrow(/label.*damaged/);
  expect((await identify(path, { ...US, force: true })).pdskid).toBeUndefined();
});

test("a disk that grew keeps its id, and its label moves to the new place before anything else", async () => {
  const path = await makeDisk();
  await writeLabelAt(path, "ours", 7, BYTES);
  await truncate(path, GROWN);
  const records = [{ path: "/another/name", pdskid: 7, bytes: BYTES, deleted: false }];
  const { disk, pdskid } = await identify(path, { ...US, records });
  expect(pdskid).toBe(7);
  expect(await readLabel(disk.handle, GROWN)).toEqual({
    kind: "label",
    label: { cluster: "ours", pdskid: 7, bytes: GROWN },
  });
  expect((await identify(path)).pdskid).toBe(7);
});

test("a disk that shrank is refused", async () => {
  const path = await makeDisk();
  await writeLabelAt(path, "ours", 7, BYTES);
  await truncate(path, BYTES - MIB);
  await expect(identify(path)).rejects.toThrow(/can't shrink/);
});

test("what can't be opened, is no disk or is too small is told in a sentence", async () => {
  const folder = tempFolder();
  await expect(openDisk(join(folder, "none"), 0)).rejects.toThrow(/can't be opened/);
  await expect(openDisk("/dev/null", 0)).rejects.toThrow(/neither a file nor a block device/);
  const path = await makeDisk((handle) => handle.truncate(EXTENT_UNIT_BYTES));
  await expect(openDisk(path, 0)).rejects.toThrow(/at least/);
});

async function writeLabelAt(path: string, cluster: string, pdskid: number, bytes: number): Promise<void> {
  const handle = await open(path, "r+");
  await writeLabel(handle, { cluster, pdskid, bytes });
  await handle.close();
}
