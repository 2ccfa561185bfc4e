import { describeError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import { type Gigabytes, usableGigabytes } from "../../shared/units.js";
import type { DataPlane, VerifiedDisk } from "./data-plane.js";
import { writeLabel } from "./disk-label.js";
import type { DiskRecords } from "./disk-records.js";
import { DiskRefusedError, type OpenDisk, openDisk } from "./disks.js";
import type { Grants } from "./grants.js";
import { identifyDisk } from "./identify-disk.js";
import { openVerified } from "./open-verified.js";

export interface InventoryOptions {
  /** Absolute paths, in the order of the configuration. */
  readonly paths: readonly string[];
  readonly force: boolean;
  readonly records: DiskRecords;
  readonly grants: Grants;
  readonly exports: DataPlane;
  /** Ends what overwrites a disk; when it returns, nothing of ours does any more. */
  readonly endShreds: (pdskid: number) => Promise<void>;
  /** The cluster that we belong to; undefined before we heard of one. */
  readonly cluster: () => string | undefined;
  readonly log: Log;
}

/** A disk of the configuration as it was found: with an id if it carries our label, else blank. */
export type FoundDisk = Omit<VerifiedDisk, "pdskid"> & { readonly pdskid: number | undefined };

/** A disk of the configuration, or one that was served from it. */
export interface DiskState {
  /** 0 if it is not known which disk stands at the path. */
  readonly pdskid: number;
  readonly path: string;
  /** Why it is not served; empty if it is. */
  readonly why: string;
  /** Usable GB; 0 if it is not served. */
  readonly capacity: Gigabytes;
}

/** The disks of this server: found, verified, exported. A disk that can't be used does not keep the others from it. */
export class Inventory {
  readonly #options: InventoryOptions;
  readonly #served = new Map<number, VerifiedDisk>();
  readonly #complaints = new Map<string, string>();

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  /**
   * Looks at every disk of the configuration, and serves those that carry our label and were not deleted. Returns all
   * that can be used.
   */
  async scan(): Promise<FoundDisk[]> {
    const looks = this.#options.paths.map((path, index) => this.#try(path, () => this.#look(path, index)));
    return (await Promise.all(looks)).filter((disk) => disk !== undefined);
  }

  /** The disks of the configuration, in its order, as they were found when they were last looked at. */
  states(): DiskState[] {
    const served = new Map([...this.#served.values()].map((disk) => [disk.path, disk]));
    return this.#options.paths.map((path) => {
      const disk = served.get(path);
      const complaint = this.#complaints.get(path);
      if (disk !== undefined && complaint === undefined)
        return { pdskid: disk.pdskid, path, why: "", capacity: usableGigabytes(disk.bytes) };
      const known = disk ?? this.#options.records.disks.find((record) => record.path === path);
      return {
        pdskid: known?.pdskid ?? 0,
        path,
        why: complaint ?? "the manager does not know it",
        capacity: 0,
      };
    });
  }

  /** Labels a disk with the id that the manager gave it as a new one, and serves it. */
  async adopt(disk: VerifiedDisk): Promise<void> {
    const cluster = this.#cluster();
    if (this.#options.records.of(disk.pdskid) !== undefined) {
      throw new DiskRefusedError(
        `the manager calls the blank disk ${disk.path} ${showDisk(disk.pdskid)}, which we know with content`,
      );
    }
    const { handle } = await openDisk(disk.path, disk.index);
    try {
      await writeLabel(handle, { cluster, pdskid: disk.pdskid, bytes: disk.bytes });
    } finally {
      await handle.close();
    }
    await this.#options.records.remember(disk);
    await this.#serve(disk);
  }

  /** The manager does not know this disk: from when this returns, nobody reads or writes it, after a restart neither. */
  async disown(pdskid: number): Promise<void> {
    await this.#options.records.setDeleted(pdskid, true);
    await this.#options.grants.removeDisk(pdskid);
    await this.#endWork(pdskid);
    this.#served.delete(pdskid);
  }

  /** The manager knows this disk: one that it had lost sight of is served again. */
  async own(disk: VerifiedDisk): Promise<void> {
    if (this.#options.records.of(disk.pdskid)?.deleted !== true) return;
    // What could not be ended when it was lost sight of must not go on beside what begins now.
    await this.#endWork(disk.pdskid);
    await this.#options.records.setDeleted(disk.pdskid, false);
    await this.#serve(disk);
  }

  /** The disks that are served now. */
  get served(): readonly VerifiedDisk[] {
    return [...this.#served.values()];
  }

  /** Opens a served disk and verifies that it still is the one. The caller closes its handle. */
  async openServed(pdskid: number): Promise<OpenDisk> {
    const served = this.#served.get(pdskid);
    if (served === undefined) throw new DiskRefusedError(`${showDisk(pdskid)} is not served here`);
    return openVerified(served, this.#cluster());
  }

  /** Does something with one disk; what is in the way is logged, once as long as it is the same. */
  async #try<T>(path: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work();
      this.#complaints.delete(path);
      return result;
    } catch (error) {
      const complaint = describeError(error);
      if (this.#complaints.get(path) !== complaint) {
        // A refusal says all there is to say; of anything else the stack is wanted.
        const details = error instanceof DiskRefusedError ? { path } : { path, err: error };
        this.#options.log.error(details, complaint);
      }
      this.#complaints.set(path, complaint);
      return undefined;
    }
  }

  async #endWork(pdskid: number): Promise<void> {
    await Promise.all([this.#options.endShreds(pdskid), this.#options.exports.end(pdskid)]);
  }

  async #look(path: string, index: number): Promise<FoundDisk> {
    const { records, force, exports } = this.#options;
    const disk = await openDisk(path, index);
    const { bytes } = disk;
    let pdskid: number | undefined;
    try {
      exports.check(disk);
      pdskid = await identifyDisk(disk, { cluster: this.#cluster(), records: records.disks, force });
    } finally {
      await disk.handle.close();
    }
    if (pdskid === undefined) return { pdskid, index, path, bytes };
    await records.remember({ path, pdskid, bytes });
    if (records.of(pdskid)?.deleted !== true) await this.#serve({ pdskid, index, path, bytes });
    return { pdskid, index, path, bytes };
  }

  async #serve(disk: VerifiedDisk): Promise<void> {
    const twin = this.#served.get(disk.pdskid);
    if (twin !== undefined && twin.index !== disk.index) {
      throw new DiskRefusedError(
        `${disk.path} and ${twin.path} both are ${showDisk(disk.pdskid)}: one disk named twice, or a copy`,
      );
    }
    this.#served.set(disk.pdskid, disk);
    await this.#options.grants.addDisk(disk.pdskid, usableGigabytes(disk.bytes));
    await this.#options.exports.ensure(disk, () => this.#verify(disk.pdskid));
  }

  async #verify(pdskid: number): Promise<void> {
    const { handle } = await this.openServed(pdskid);
    await handle.close();
  }

  #cluster(): string {
    const cluster = this.#options.cluster();
    if (cluster === undefined)
      throw new DiskRefusedError("no manager was heard of yet, so no disk can be verified");
    return cluster;
  }
}
