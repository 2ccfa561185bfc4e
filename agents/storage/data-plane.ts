import type { OpenDisk } from "./disks.js";

/** A disk that was verified to be what it is. */
export interface VerifiedDisk {
  readonly pdskid: number;
  readonly index: number;
  readonly path: string;
  readonly bytes: number;
}

/** How heads find the export of a disk, in the words of registerPhysicalDisk. */
export interface ExportEndpoint {
  readonly nbd_port: number;
  readonly iscsi_name?: string;
}

/**
 * What exports the disks of a storage server to the volumes that are granted something on them. It goes on without the
 * control process, and the next control process finds it again.
 */
export interface DataPlane {
  /** @throws DiskRefusedError if a disk of this kind can't be exported */
  check(disk: OpenDisk): void;

  /** @param index of the disk in the configuration */
  endpointOf(index: number): ExportEndpoint;

  /**
   * Has a disk exported, with the grants as they are now.
   *
   * @param verify checks that the disk at the path still is this disk; rejects if it is not
   */
  ensure(disk: VerifiedDisk, verify: () => Promise<void>): Promise<void>;

  /**
   * Makes the export of a disk obey the grants as they are when this is called, and returns when no other request can
   * reach the disk any more. Nobody reaches a disk that is not served.
   *
   * @param lvolid the volume for which this is done: fails if what it is granted can't be offered
   * @throws VasError EAGAIN if that can't be had in time; to be asked again
   */
  enforce(pdskid: number, lvolid?: number): Promise<void>;

  /** Ends the export of a disk that is not to be served any more. @throws Error if that can't be had in time */
  end(pdskid: number): Promise<void>;

  /** Ends what an earlier life of ours exported and is not served any more. */
  endStrangers(): Promise<void>;

  /** Ends all exports. */
  stopAll(): Promise<void>;

  /** Leaves all exports to themselves. */
  release(): void;
}
