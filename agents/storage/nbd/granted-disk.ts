import { showDisk, showVolume } from "../../../shared/ids.js";
import type { Bytes } from "../../../shared/units.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import type { NbdOpened, NbdPeer, NbdRequest, NbdReuseReply, NbdSession } from "../../common/nbd/server.js";
import type { DiskIo } from "./disk-io.js";
import { type Claim, parseExportName } from "./export-name.js";
import type { GrantedExtents, GrantTable } from "./grant-table.js";
import { type Admitted, Incarnations } from "./incarnations.js";

export interface GrantedDiskOptions {
  readonly pdskid: number;
  readonly bytes: Bytes;
  /** See `lifeOf`. */
  readonly life: string;
  readonly disk: DiskIo;
  readonly grants: GrantTable;
}

/**
 * One disk, served to those who hold grants. All of it is synchronous: between two events no request is under way, so a
 * connection that was closed, or an extent that was taken away, is never touched again by what came before.
 */
export class GrantedDisk {
  readonly #options: GrantedDiskOptions;
  readonly #incarnations = new Incarnations();
  #grants: GrantTable;

  constructor(options: GrantedDiskOptions) {
    this.#options = options;
    this.#grants = options.grants;
  }

  /** Decides about an export's name, for the NBD server. */
  open(name: string, peer: NbdPeer): NbdOpened {
    const shown = showDisk(this.#options.pdskid);
    const claim = parseExportName(name, this.#options.pdskid);
    if (claim === "other disk") return { refuse: "unknown", message: `only ${shown} is served here` };
    if (claim === "no claim") {
      return { refuse: "policy", message: `${shown} is served as ${shown}/lvol-XXXXXXXX/EPOCH only` };
    }
    if (this.#grants.extentsOf(claim.lvolid, claim.epoch) === undefined) {
      return {
        refuse: "policy",
        message: `epoch ${claim.epoch} of ${showVolume(claim.lvolid)} has no grant on ${shown}`,
      };
    }
    const session = new Session(this.#options.disk, claim, peer, {
      granted: () => this.#grants,
      left: (connection) => this.#incarnations.left(connection),
    });
    if (!peer.infoOnly && !this.#incarnations.admit(session)) {
      return {
        refuse: "policy",
        message: `a later incarnation than ${claim.incarnation} of ${showVolume(claim.lvolid)} is connected`,
      };
    }
    return {
      info: {
        size: this.#options.bytes,
        description: this.#options.life,
        readOnly: false,
        canFlush: true,
        canFua: true,
        canTrim: true,
        canZero: true,
        multiConn: true,
      },
      session,
    };
  }

  /**
   * From when this returns, nothing outside the new grants is read or written. Connections of epochs that are not granted
   * any more are closed; one whose volume only lost an extent stays.
   */
  setGrants(grants: GrantTable): void {
    this.#grants = grants;
    const isGone = (lvolid: number, epoch: number): boolean => grants.extentsOf(lvolid, epoch) === undefined;
    this.#incarnations.closeWhere(({ claim }) => isGone(claim.lvolid, claim.epoch));
    this.#incarnations.forgetWhere(isGone);
  }

  connections(): (Claim & { readonly remote: string })[] {
    return this.#incarnations.list();
  }
}

/** What one connection may do. */
class Session implements NbdSession, Admitted {
  readonly claim: Claim;
  readonly remote: string;
  readonly #disk: DiskIo;
  readonly #peer: NbdPeer;
  readonly #owner: { granted(): GrantTable; left(session: Session): void };
  #table: GrantTable | undefined;
  #extents: GrantedExtents | undefined;
  #closed = false;

  constructor(
    disk: DiskIo,
    claim: Claim,
    peer: NbdPeer,
    owner: { granted(): GrantTable; left(session: Session): void },
  ) {
    this.claim = claim;
    this.remote = peer.remote;
    this.#disk = disk;
    this.#peer = peer;
    this.#owner = owner;
  }

  request(request: NbdRequest, reply: NbdReuseReply): void {
    const { offset, length, fua } = request;
    if (this.#closed) {
      reply(NbdErrno.ESHUTDOWN);
      return;
    }
    if (request.command !== "flush" && !this.#mayTouch(offset, length)) {
      reply(NbdErrno.EPERM);
      return;
    }
    switch (request.command) {
      case "read": {
        if (fua) {
          this.#readPastCache(offset, length, reply);
          break;
        }
        const data = this.#disk.read(offset, length);
        if (typeof data === "number") reply(data);
        else if (!reply(NbdErrno.OK, [data])) this.#disk.keep(data);
        break;
      }
      case "write":
        reply(this.#disk.write(offset, request.payload, fua));
        break;
      case "flush":
        reply(this.#disk.flush());
        break;
      case "trim":
        reply(this.#disk.zero(request, false, fua));
        break;
      case "writeZeroes":
        reply(this.#disk.zero(request, request.noHole, fua));
        break;
    }
  }

  /** A read with FUA asks for what is on the disk itself. */
  #readPastCache(offset: Bytes, length: Bytes, reply: NbdReuseReply): void {
    const data = this.#disk.readPastCache(offset, length);
    if (typeof data === "number") reply(data);
    else reply(NbdErrno.OK, [data]);
  }

  close(): void {
    this.#closed = true;
    this.#peer.close();
  }

  closed(): void {
    this.#closed = true;
    this.#owner.left(this);
  }

  #mayTouch(offset: Bytes, length: Bytes): boolean {
    const table = this.#owner.granted();
    if (table !== this.#table) {
      this.#table = table;
      this.#extents = table.extentsOf(this.claim.lvolid, this.claim.epoch);
    }
    return this.#extents?.covers(offset, length) ?? false;
  }
}
