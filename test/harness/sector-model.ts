import type { Bytes } from "../../shared/units.js";

const SECTOR: Bytes = 512;
const ZEROS = Buffer.alloc(SECTOR);

interface Version {
  readonly bytes: Buffer;
  isAcknowledged: boolean;
}

/** A change under way. */
export interface SectorChange {
  readonly firstSector: number;
  readonly versions: readonly Version[];
}

/**
 * What each sector of a volume may hold after a loss of power: what was durable last, or what any later change has put
 * there, acknowledged or not. Offsets and lengths are whole sectors, and no two changes under way overlap.
 */
export class SectorModel {
  /** The first version is the durable one, or as good as that. */
  readonly #sectors = new Map<number, readonly Version[]>();

  begin(offset: Bytes, bytes: Buffer): SectorChange {
    const versions = pieces(bytes).map((piece) => ({ bytes: piece, isAcknowledged: false }));
    const firstSector = offset / SECTOR;
    for (const [at, version] of versions.entries()) {
      this.#sectors.set(firstSector + at, [...this.#versions(firstSector + at), version]);
    }
    return { firstSector, versions };
  }

  acknowledge({ firstSector, versions }: SectorChange, isDurable: boolean): void {
    for (const [at, version] of versions.entries()) {
      version.isAcknowledged = true;
      if (isDurable) this.#keepFrom(firstSector + at, version);
    }
  }

  /** A FLUSH is asked for. @returns to be called when it has succeeded */
  flush(): () => void {
    const last = [...this.#sectors].map(
      ([sector, versions]) => [sector, lastAcknowledged(versions)] as const,
    );
    return () => {
      for (const [sector, version] of last) this.#keepFrom(sector, version);
    };
  }

  /** @returns what a read that began after everything was answered has to show */
  latest(offset: Bytes, length: Bytes): Buffer {
    const sectors = Array.from({ length: length / SECTOR }, (_, at) => this.#versions(offset / SECTOR + at));
    return Buffer.concat(sectors.map((versions) => lastAcknowledged(versions).bytes));
  }

  /**
   * Compares what is read after power was lost, and takes it for durable from now on.
   *
   * @returns what is wrong; undefined if nothing is
   */
  afterPowerLoss(offset: Bytes, read: Buffer): string | undefined {
    for (const [at, bytes] of pieces(read).entries()) {
      const sector = offset / SECTOR + at;
      const versions = this.#versions(sector);
      if (!versions.some((version) => version.bytes.equals(bytes))) {
        const when =
          versions.length === 1 ? "what is durable" : `any of ${versions.length} possible contents`;
        return `the sector at ${sector * SECTOR} is not ${when}`;
      }
      this.#sectors.set(sector, [{ bytes: Buffer.from(bytes), isAcknowledged: true }]);
    }
    return undefined;
  }

  #versions(sector: number): readonly Version[] {
    return this.#sectors.get(sector) ?? [{ bytes: ZEROS, isAcknowledged: true }];
  }

  #keepFrom(sector: number, version: Version): void {
    const versions = this.#versions(sector);
    const place = versions.indexOf(version);
    if (place > 0) this.#sectors.set(sector, versions.slice(place));
  }
}

function lastAcknowledged(versions: readonly Version[]): Version {
  // The first one is.
  return versions.findLast(({ isAcknowledged }) => isAcknowledged) as Version;
}

function pieces(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length / SECTOR }, (_, at) =>
    bytes.subarray(at * SECTOR, (at + 1) * SECTOR),
  );
}
