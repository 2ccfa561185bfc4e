import type { NbdRequest } from "../../common/nbd/server.js";

/** Errno of a request that its disk did not answer, and will not be asked again: whether it was carried out is unknown. */
export const DISK_LOST = -2;

export type DiskCommand = NbdRequest["command"];
export type DiskDone = (errno: number, data?: readonly Buffer[]) => void;

/** The member that a request is for, as its disk's connection sees it. */
export interface DiskUser {
  /** False once the member is out of use: its requests are not sent again. */
  readonly inUse: boolean;
  /** Reads or acknowledgements depend on it; false while it is only being copied to. */
  readonly counts: boolean;
  /** The last good copy: its requests wait for their disk, however long that takes. */
  readonly patient: boolean;
  /** Value of the disk's `completed` at this member's newest write that no flush need have covered. */
  lastCompleted: number;
  /** Successful requests: that it grows shows that things get on. */
  answered: number;
  /** The disk answers (again). */
  diskUp(): void;
  /** The storage server was restarted, and writes of this member were not flushed. */
  writesLost(): void;
  /** The disk refuses it. @returns whether that is its own affair; else the volume is fenced */
  refused(why: string): boolean;
}

/** One request to a disk. Offsets are those of the disk, in bytes. */
export class DiskRequest {
  /** When it was given or sent again, in ticks of its connection. */
  tick = 0;
  resends = 0;

  constructor(
    /** undefined for a flush, which is the disk's own. */
    readonly user: DiskUser | undefined,
    readonly command: DiskCommand,
    readonly offset: number,
    readonly length: number,
    readonly fua: boolean,
    readonly payload: readonly Buffer[],
    readonly done: DiskDone,
    /** Another member can answer as well: given back at once when the connection breaks. */
    readonly elsewhere = false,
  ) {}
}
