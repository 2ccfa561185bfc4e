import type { ParsedExtent } from "../../../shared/layout-tree.js";
import { extentPlace } from "../../../shared/units.js";
import type { DiskConnection } from "./disk-connection.js";
import { type DiskCommand, type DiskDone, DiskRequest, type DiskUser } from "./disk-request.js";
import {
  decodeRecord,
  encodeRecord,
  type MemberRecord,
  type RecordContent,
  type RecordOwner,
  SLOT_DISTANCE,
  slotBytes,
} from "./member-record.js";

/**
 * What a member is to its mirror. `insync`: read and written. `joining`: holds all, and the manager is being told.
 * `copying`: written, while the copier fills it. `preparing`: its record is being read. `failing`: missed a write, and the
 * manager is being told. `out`: not used.
 */
export type MemberState = "insync" | "joining" | "copying" | "preparing" | "failing" | "out";

/** What a member tells its mirror. */
export interface MemberEvents {
  diskUp(): void;
  writesLost(member: Member): void;
  refused(why: string): boolean;
}

/** A request to a disk failed; `errno` is the disk's answer, or DISK_LOST. */
export class DiskError extends Error {
  override readonly name = "DiskError";
  constructor(
    readonly errno: number,
    what: string,
  ) {
    super(errno < 0 ? `${what}: the disk can't be reached` : `${what}: the disk answered errno ${errno}`);
  }
}

/** An extent as a member of a mirror: offsets within the mirror's data become offsets on the disk. */
export class Member implements DiskUser {
  state: MemberState = "out";
  /** The manager said that this is the last INSYNC member. */
  patient = false;
  /** Why it is failing: it missed a write, or may have lost some that it had answered. */
  lostWrites = false;
  lastCompleted = 0;
  answered = 0;
  /** Called once when the member is not used any more. */
  left: () => void = () => undefined;
  readonly #dataStart: number;
  readonly #recordStart: number;
  readonly #slotBytes: number;
  #sequence = 0;
  #slot: 0 | 1 = 1;

  constructor(
    readonly node: ParsedExtent,
    readonly owner: RecordOwner,
    readonly disk: DiskConnection,
    private readonly events: MemberEvents,
  ) {
    const place = extentPlace(node.lvolspec.offset, node.capacity);
    this.#dataStart = place.dataStart;
    this.#recordStart = place.start;
    this.#slotBytes = slotBytes(node.capacity);
  }

  get dextid(): number {
    return this.node.lvolid;
  }

  get inUse(): boolean {
    return this.state !== "failing" && this.state !== "out";
  }

  get counts(): boolean {
    return this.state === "insync" || this.state === "joining" || this.state === "failing";
  }

  diskUp(): void {
    this.events.diskUp();
  }

  writesLost(): void {
    this.events.writesLost(this);
  }

  refused(why: string): boolean {
    return this.events.refused(why);
  }

  /** @param elsewhere another member can answer as well, so that no broken connection need be waited for */
  read(offset: number, length: number, done: DiskDone, elsewhere = true): void {
    const at = this.#dataStart + offset;
    this.disk.submit(new DiskRequest(this, "read", at, length, false, [], done, elsewhere));
  }

  /** Reads what is on its disk itself, past the storage server's page cache. */
  readPastCache(offset: number, length: number, done: DiskDone): void {
    this.disk.submit(new DiskRequest(this, "read", this.#dataStart + offset, length, true, [], done, true));
  }

  write(
    command: DiskCommand,
    offset: number,
    length: number,
    fua: boolean,
    payload: readonly Buffer[],
    done: DiskDone,
  ): void {
    this.disk.submit(new DiskRequest(this, command, this.#dataStart + offset, length, fua, payload, done));
  }

  /**
   * Reads its record.
   *
   * @returns undefined if its extent is blank
   * @throws DiskError
   */
  async readRecord(): Promise<MemberRecord | undefined> {
    const slots = [await this.#readSlot(0), await this.#readSlot(1)] as const;
    const record = decodeRecord(this.owner, [...slots], this.node.capacity);
    this.#sequence = record?.sequence ?? 0;
    this.#slot = record?.slot ?? 1;
    return record;
  }

  /** Writes its record, durably, to the slot that is not current. One at a time. */
  writeRecord(content: RecordContent, done: DiskDone): void {
    const slot = this.#slot === 0 ? 1 : 0;
    const sequence = this.#sequence + 1;
    const bytes = encodeRecord(this.owner, content, sequence, this.node.capacity);
    const at = this.#recordStart + slot * SLOT_DISTANCE;
    const settle: DiskDone = (errno) => {
      if (errno === 0) {
        this.#slot = slot;
        this.#sequence = sequence;
      }
      done(errno);
    };
    this.disk.submit(new DiskRequest(this, "write", at, bytes.length, true, [bytes], settle));
  }

  #readSlot(slot: 0 | 1): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const at = this.#recordStart + slot * SLOT_DISTANCE;
      const done: DiskDone = (errno, data = []) => {
        if (errno === 0) resolve(data.length === 1 && data[0] ? data[0] : Buffer.concat(data));
        else reject(new DiskError(errno, `reading the record of extent ${this.dextid}`));
      };
      // Not to be answered elsewhere: it waits for a connection that is just being made.
      this.disk.submit(new DiskRequest(this, "read", at, this.#slotBytes, false, [], done));
    });
  }
}
