import { showDisk } from "../../../shared/ids.js";
import { linearOf, type ParsedExtent, type ParsedSnapshot } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { inParallel } from "../../common/in-parallel.js";
import type { ManagerClient } from "../../common/manager-client.js";
import { ManagerPort } from "../manager-port.js";
import { buildMirrors } from "./build-mirrors.js";
import { BitSweeper, clearIdleBits } from "./clear-bits.js";
import { DiskConnection } from "./disk-connection.js";
import { flushVolume } from "./flush-volume.js";
import { Linear } from "./linear.js";
import type { Mirror } from "./mirror.js";
import { openDisk } from "./open-disk.js";
import { recoverMirror } from "./recovery.js";
import { SnapshotOrigin } from "./snapshot-origin.js";
import { assertSpaceFits, SnapshotSpace } from "./snapshot-space.js";
import type { VolumeSpec } from "./spec.js";

const MIRRORS_RECOVERED_AT_ONCE = 16;
export const SWEEP_MS: Milliseconds = 5000;

export interface VolumeOptions {
  readonly spec: VolumeSpec;
  readonly client: ManagerClient;
  /** Another has the volume, or is to have it: nothing more may be answered or written. */
  readonly onFenced: (why: string) => void;
  readonly log: Log;
}

/**
 * The layers below the NBD server, put together: snapshot-origin, linear, mirrors, members and the connections of their
 * disks. The copy-on-write spaces of its snapshots are on the same connections: their extents are granted to the volume.
 */
export class Volume {
  readonly linear: Linear;
  readonly mirrors: readonly Mirror[];
  /** What all writes go through. */
  readonly origin: SnapshotOrigin;
  readonly manager: ManagerPort;
  readonly #options: VolumeOptions;
  readonly #disks = new Map<number, DiskConnection>();
  readonly #paths = new Map<number, readonly string[]>();
  readonly #ending = new AbortController();
  readonly #spaces = new Set<SnapshotSpace>();
  #sweeper: BitSweeper | undefined;

  constructor(options: VolumeOptions) {
    this.#options = options;
    const { lvolstruct, epoch } = options.spec;
    const { client, onFenced, log } = options;
    const { lvolid } = lvolstruct;
    this.manager = new ManagerPort({ client, lvolid, epoch, onFenced, log, ending: this.#ending.signal });
    const { manager } = this;
    this.mirrors = buildMirrors(lvolstruct, { manager, diskOf: (node) => this.#diskOf(node), log });
    this.linear = new Linear(this.mirrors);
    this.origin = new SnapshotOrigin(this.linear);
  }

  /** Makes all mirrors fit to be served. @throws VasError EIO, ESTALE */
  async start(): Promise<void> {
    await inParallel(this.mirrors, MIRRORS_RECOVERED_AT_ONCE, recoverMirror);
    this.#sweeper = new BitSweeper(SWEEP_MS, (idleSweeps) => this.#clearBits(idleSweeps));
  }

  /** @returns 0, or EIO if the last good copy of something can't be made durable */
  flush(): Promise<number> {
    const spaces = [...this.#spaces].flatMap(({ mirrors }) => mirrors);
    return flushVolume(this.#disks.values(), this.mirrors, spaces);
  }

  /**
   * The copy-on-write space of a snapshot, not read yet.
   *
   * @param onBroken it lost what it had answered, or is refused
   * @throws VasError EINVAL if its layout can't be right
   */
  buildSpace(node: ParsedSnapshot, onBroken: (why: string) => void): SnapshotSpace {
    const { manager } = this;
    const { log } = this.#options;
    assertSpaceFits(linearOf(node), this.linear.size);
    const mirrors = buildMirrors(node, { manager, diskOf: (extent) => this.#diskOf(extent), log, onBroken });
    const linear = new Linear(mirrors);
    const space = new SnapshotSpace({ lvolid: node.lvolid, linear, mirrors, originBytes: this.linear.size });
    this.#spaces.add(space);
    return space;
  }

  /** A space was given up. */
  forgetSpace(space: SnapshotSpace): void {
    this.#spaces.delete(space);
  }

  /** Flushes, clears the bits that may be cleared, and ends. @returns as `flush` */
  async end(): Promise<number> {
    this.#sweeper?.stop();
    const errno = await this.flush();
    if (errno === 0) await this.#clearBits(0);
    this.stop();
    return errno;
  }

  /** Ends at once: nothing more is sent. */
  stop(): void {
    this.#sweeper?.stop();
    this.#ending.abort();
    for (const disk of this.#disks.values()) disk.end();
  }

  #clearBits(idleSweeps: number): Promise<void> {
    return clearIdleBits(this.mirrors, () => this.flush(), idleSweeps);
  }

  #diskOf(node: ParsedExtent): DiskConnection {
    const { pdskid, iscsi_path } = node.lvolspec;
    this.#paths.set(pdskid, iscsi_path);
    const known = this.#disks.get(pdskid);
    if (known !== undefined) return known;
    const { spec, onFenced, log } = this.#options;
    const disk = new DiskConnection({
      name: showDisk(pdskid),
      start: spec.incarnation,
      memberTimeoutMs: spec.memberTimeoutMs,
      connect: (incarnation, timeoutMs, onClose) =>
        openDisk(
          this.#paths.get(pdskid) ?? iscsi_path,
          { lvolid: spec.lvolstruct.lvolid, epoch: spec.epoch, incarnation },
          { timeoutMs, onClose },
        ),
      onFenced,
      log,
    });
    this.#disks.set(pdskid, disk);
    return disk;
  }
}
