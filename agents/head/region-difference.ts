/** Where INSYNC members of a mirror differ. */
export interface RegionDifference {
  readonly region: number;
  /** The first byte of the region that is not the same on all. */
  readonly byte: number;
  /** Extents with the same content there, a list for each content. */
  readonly copies: number[][];
}

/** What members have of one place, by their extents; all of the same length. */
export type Copies = ReadonlyMap<number, Buffer>;

/** @returns the first byte that is not the same in all; undefined if they are the same */
export function firstDifference(copies: Copies): number | undefined {
  const [first = Buffer.alloc(0), ...others] = copies.values();
  const bytes = others
    .filter((other) => !other.equals(first))
    .map((other) => first.findIndex((byte, at) => byte !== other[at]));
  return bytes.length === 0 ? undefined : Math.min(...bytes);
}

/** Extents with the same content, a list for each content. */
export function alike(copies: Copies): number[][] {
  const groups: { readonly data: Buffer; readonly dextids: number[] }[] = [];
  for (const [dextid, data] of copies) {
    const same = groups.find((group) => group.data.equals(data));
    if (same === undefined) groups.push({ data, dextids: [dextid] });
    else same.dextids.push(dextid);
  }
  return groups.map(({ dextids }) => dextids);
}
