import type { Clock } from "../../shared/clock.js";
import { VasError } from "../../shared/errors.js";
import type { Bytes } from "../../shared/units.js";
import type { VerifiedDisk } from "./data-plane.js";
import { DiskRate } from "./disk-rate.js";
import { DiskReader } from "./disk-reader.js";
import type { ScrubbedDisk } from "./scrub.js";

export interface DiskReadersOptions {
  readonly served: () => readonly VerifiedDisk[];
  /** The cluster that we belong to; undefined before we heard of one. */
  readonly cluster: () => string | undefined;
  readonly entry: string;
  /** For each disk; 0 = no limit. */
  readonly bytesPerSecond: Bytes;
  readonly clock: Pick<Clock, "monotonic">;
}

/** A reader for each disk that is served, with one rate for all that is read of it. */
export class DiskReaders {
  readonly #options: DiskReadersOptions;
  readonly #disks = new Map<number, ScrubbedDisk & { readonly reader: DiskReader }>();

  readonly #ending = new AbortController();

  constructor(options: DiskReadersOptions) {
    this.#options = options;
  }

  /** The disks that are served now. Of one that moved or grew the reader is a new one. */
  all(): readonly ScrubbedDisk[] {
    const served = this.#options.served();
    for (const [pdskid, { reader }] of this.#disks) {
      if (served.some((disk) => isSame(disk, reader.disk))) continue;
      reader.end();
      this.#disks.delete(pdskid);
    }
    const cluster = this.#options.cluster();
    if (cluster === undefined) return [];
    return served.map((disk) => this.#of(disk, cluster));
  }

  of(pdskid: number): ScrubbedDisk | undefined {
    return this.all().find(({ reader }) => reader.disk.pdskid === pdskid);
  }

  /** Aborted at the end. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Ends their processes. One that hangs in its disk is left behind: it only reads. */
  end(): void {
    this.#ending.abort(new VasError("EAGAIN", "the storage agent stops"));
    for (const { reader } of this.#disks.values()) reader.end();
  }

  #of(disk: VerifiedDisk, cluster: string): ScrubbedDisk {
    const known = this.#disks.get(disk.pdskid);
    if (known !== undefined) return known;
    const { entry, bytesPerSecond, clock } = this.#options;
    const made = {
      reader: new DiskReader({ disk, cluster, entry }),
      rate: new DiskRate({ bytesPerSecond, clock }),
    };
    this.#disks.set(disk.pdskid, made);
    return made;
  }
}

function isSame(a: VerifiedDisk, b: VerifiedDisk): boolean {
  return a.pdskid === b.pdskid && a.index === b.index && a.path === b.path && a.bytes === b.bytes;
}
