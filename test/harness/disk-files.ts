import { closeSync, openSync, readSync } from "node:fs";
import type { ExtentNode, MirrorNode } from "../../shared/layout-tree.js";
import { type ExtentPlace, extentPlace, MIB } from "../../shared/units.js";
import type { TestCluster } from "./cluster.js";

/** Looking at the disk files behind the back of everything that serves them. */

/** An extent as bytes in a file. */
export interface ExtentFile {
  readonly dextid: number;
  readonly path: string;
  readonly place: ExtentPlace;
}

const CHUNK = 4 * MIB;

export async function extentFiles(
  cluster: TestCluster,
  extents: readonly ExtentNode[],
): Promise<ExtentFile[]> {
  const disks = await cluster.api("listPhysicalDisks", {});
  return extents.map((extent) => {
    const disk = disks.find(({ pdskid }) => pdskid === extent.lvolspec.pdskid);
    if (disk === undefined) throw new Error(`disk ${extent.lvolspec.pdskid} is not listed`);
    return {
      dextid: extent.lvolid,
      path: disk.local_path,
      place: extentPlace(extent.lvolspec.offset, extent.capacity),
    };
  });
}

function* chunks(from: number, to: number): Generator<{ offset: number; length: number }> {
  for (let offset = from; offset < to; offset += CHUNK)
    yield { offset, length: Math.min(CHUNK, to - offset) };
}

/** The first byte of the file from `from` to `to` that is not zero; undefined if all are. */
export function firstNonZero(path: string, from: number, to: number): number | undefined {
  const file = openSync(path, "r");
  const zeros = Buffer.alloc(CHUNK);
  const buffer = Buffer.alloc(CHUNK);
  try {
    for (const { offset, length } of chunks(from, to)) {
      const got = buffer.subarray(0, readSync(file, buffer, 0, length, offset));
      if (got.equals(zeros.subarray(0, got.length))) continue;
      return offset + got.findIndex((byte) => byte !== 0);
    }
    return undefined;
  } finally {
    closeSync(file);
  }
}

/**
 * Compares the data of all members of a mirror, byte for byte.
 *
 * @returns where the first difference is, in words; undefined if there is none.
 */
export async function differenceOf(cluster: TestCluster, mirror: MirrorNode): Promise<string | undefined> {
  const members = await extentFiles(cluster, mirror.components);
  const files = members.map(({ path }) => openSync(path, "r"));
  try {
    const length = Math.max(...members.map(({ place }) => place.dataLength));
    for (const chunk of chunks(0, length)) {
      const pieces = members.map(({ place }, index) => {
        const buffer = Buffer.alloc(chunk.length);
        readSync(files[index] ?? -1, buffer, 0, chunk.length, place.dataStart + chunk.offset);
        return buffer;
      });
      const other = pieces.findIndex((piece) => !piece.equals(pieces[0] ?? piece));
      if (other < 0) continue;
      const at = pieces[other]?.findIndex((byte, index) => byte !== pieces[0]?.[index]) ?? 0;
      return `mirror ${mirror.lvolid}: extents ${members[0]?.dextid} and ${members[other]?.dextid} differ at data byte ${chunk.offset + at}`;
    }
    return undefined;
  } finally {
    for (const file of files) closeSync(file);
  }
}
