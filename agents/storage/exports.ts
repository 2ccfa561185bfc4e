import { mkdir, readdir } from "node:fs/promises";
import { describeError } from "../../shared/errors.js";
import { parseShownId, showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import { checkSocketPath } from "../common/control-socket.js";
import { kill9AndWait } from "../common/detached-process.js";
import type { DataPlane, ExportEndpoint, VerifiedDisk } from "./data-plane.js";
import { DiskExport } from "./disk-export.js";
import { type ExportSpec, exportFile, findExport } from "./export-files.js";
import type { GrantsDocument } from "./grants.js";

/** What all exports of this server have in common. */
export interface ExportsOptions {
  readonly folder: string;
  /** The compiled entry of the export process. */
  readonly entry: string;
  readonly addresses: readonly string[];
  /** Disk number n of the configuration listens on this port + n. */
  readonly firstPort: number;
  readonly bootId: string;
  readonly logFormat: string;
  readonly logLevel: string;
  readonly grantsOf: (pdskid: number) => GrantsDocument;
  /** Called when a disk failed a write or a flush; its export is being started again. */
  readonly onDiskFailed: (pdskid: number) => void;
  readonly log: Log;
}

const GONE_MS = 10_000;

/** The export processes of a storage server, one for each disk: it serves files and block devices by NBD. */
export class Exports implements DataPlane {
  readonly #options: ExportsOptions;
  readonly #exports = new Map<number, DiskExport>();

  private constructor(options: ExportsOptions) {
    this.#options = options;
  }

  /** @throws VasError EINVAL if the folder's path is too long for sockets */
  static async open(options: ExportsOptions): Promise<Exports> {
    checkSocketPath(exportFile(options.folder, 1, "ctl"));
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    return new Exports(options);
  }

  check(): void {
    // Whatever could be opened can be served.
  }

  endpointOf(index: number): ExportEndpoint {
    return { nbd_port: this.#options.firstPort + index };
  }

  /** Has a disk exported, by the process that does it already or by a new one; returns when it answers. */
  async ensure(disk: VerifiedDisk, verify: () => Promise<void>): Promise<void> {
    const { folder, entry, grantsOf, onDiskFailed, log } = this.#options;
    const spec = this.#specOf(disk);
    const known = this.#exports.get(disk.pdskid);
    if (known !== undefined && isSameSpec(known.spec, spec)) {
      await known.start();
      return;
    }
    // The disk grew or moved: one process at a time for a disk.
    await known?.stop();
    const grants = (): GrantsDocument => grantsOf(disk.pdskid);
    const failed = (): void => onDiskFailed(disk.pdskid);
    const next = new DiskExport({ spec, folder, entry, grantsOf: grants, verify, onDiskFailed: failed, log });
    this.#exports.set(disk.pdskid, next);
    await next.start();
  }

  /** See `DiskExport.enforce`. A disk without an export process can't be written by anyone. */
  async enforce(pdskid: number): Promise<void> {
    await this.#exports.get(pdskid)?.enforce();
  }

  /** Ends the export of a disk that is not to be served any more. @throws Error if its process does not die in time */
  async end(pdskid: number): Promise<void> {
    await this.#exports.get(pdskid)?.stop();
    this.#exports.delete(pdskid);
  }

  /** Ends the exports of disks that an earlier life of ours served and that are not served any more. */
  async endStrangers(): Promise<void> {
    for (const name of await readdir(this.#options.folder)) {
      const pdskid = name.endsWith(".spec.json")
        ? parseShownId("pdsk", name.slice(0, -".spec.json".length))
        : undefined;
      // One of our disks whose process could not be taken over is a stranger too.
      if (pdskid === undefined || this.#exports.get(pdskid)?.holdsProcess === true) continue;
      const found = await findExport(this.#options.folder, this.#options.entry, pdskid);
      if (found === undefined) continue;
      this.#options.log.warn(`${showDisk(pdskid)} is not served by us any more, its export is ended`);
      await kill9AndWait(found, GONE_MS);
    }
  }

  /** Ends all export processes. */
  async stopAll(): Promise<void> {
    const outcomes = await Promise.allSettled([...this.#exports.values()].map((disk) => disk.stop()));
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") this.#options.log.error(describeError(outcome.reason));
    }
  }

  /** Leaves all export processes to themselves. */
  release(): void {
    for (const disk of this.#exports.values()) disk.release();
  }

  #specOf(disk: VerifiedDisk): ExportSpec {
    const { folder, addresses, firstPort, bootId, logFormat, logLevel } = this.#options;
    return {
      pdskid: disk.pdskid,
      path: disk.path,
      bytes: disk.bytes,
      addresses,
      port: firstPort + disk.index,
      bootId,
      controlSocket: exportFile(folder, disk.pdskid, "ctl"),
      grantsFile: exportFile(folder, disk.pdskid, "grants.json"),
      logFormat,
      logLevel,
    };
  }
}

function isSameSpec(a: ExportSpec, b: ExportSpec): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
