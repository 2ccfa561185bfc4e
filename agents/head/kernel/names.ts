/**
 * The names of everything that a volume is made of on a head server, in one place. All device-mapper names of a volume begin
 * with `prefix`, so that what is left of it can be found without knowing its layout.
 */
export class VolumeNames {
  /** Begins the name of each device of the volume. */
  readonly prefix: string;

  /** @param owner tells the agents of one machine apart, see `ownerTag` */
  constructor(
    readonly owner: string,
    readonly lvolid: number,
  ) {
    this.prefix = `vas-${owner}-${hex8(lvolid)}-`;
  }

  /** What users open: a linear of one piece, or a snapshot-origin while there are snapshots. */
  get top(): string {
    return `${this.prefix}top`;
  }

  /** The mirrors of the volume, or of the copy-on-write space of a snapshot, one after the other. */
  linear(lvolid: number): string {
    return `${this.prefix}linear-${hex8(lvolid)}`;
  }

  /** What users of a snapshot open. */
  snapshot(lvolid: number): string {
    return `${this.prefix}snap-${hex8(lvolid)}`;
  }

  /** An extent: its paths, and what waits until one of them is there. A member of a mirror. */
  extent(dextid: number): string {
    return `${this.prefix}ext-${hex8(dextid)}`;
  }

  /** An extent by the path of one address: the part of the iSCSI unit that is the extent's. @param place of the address */
  path(dextid: number, place: number): string {
    return `${this.prefix}path-${hex8(dextid)}-${place}`;
  }

  /** A mirror; the kernel calls it `md_…`. */
  array(mirrorid: number): string {
    return `vas-${this.owner}-${hex8(mirrorid)}`;
  }
}

/** The extent that a device is of, by its name. */
export function extentOfName(name: string): number | undefined {
  const match = /-(?:ext|path)-([0-9a-f]{8})(?:-\d+)?$/.exec(name);
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 16);
}

function hex8(id: number): string {
  return id.toString(16).padStart(8, "0");
}
