import { VasError } from "../../../shared/errors.js";
import { showDisk, showMirror } from "../../../shared/ids.js";
import { linearOf, type ParsedExtent } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import { MemberStatus } from "../../../shared/states.js";
import type { Milliseconds } from "../../../shared/units.js";
import type { ManagerClient } from "../../common/manager-client.js";
import { clearIdleBits } from "./clear-bits.js";
import { inParallel } from "./copy-chunk.js";
import { DiskConnection } from "./disk-connection.js";
import { flushVolume } from "./flush-volume.js";
import { Linear } from "./linear.js";
import { ManagerPort } from "./manager-port.js";
import { Mirror } from "./mirror.js";
import { openDisk } from "./open-disk.js";
import { recoverMirror } from "./recovery.js";
import type { VolumeSpec } from "./spec.js";

const MIRRORS_RECOVERED_AT_ONCE = 16;
const SWEEP_MS: Milliseconds = 5000;

export interface VolumeOptions {
  readonly spec: VolumeSpec;
  readonly client: ManagerClient;
  /** Another has the volume, or is to have it: nothing more may be answered or written. */
  readonly onFenced: (why: string) => void;
  readonly log: Log;
}

/** The layers below the NBD server, put together: linear, mirrors, members and the connections of their disks. */
export class Volume {
  readonly linear: Linear;
  readonly mirrors: readonly Mirror[];
  readonly #options: VolumeOptions;
  readonly #disks = new Map<number, DiskConnection>();
  readonly #paths = new Map<number, readonly string[]>();
  readonly #ending = new AbortController();
  #sweeper: NodeJS.Timeout | undefined;
  #isSweeping = false;

  constructor(options: VolumeOptions) {
    this.#options = options;
    const { lvolstruct, epoch } = options.spec;
    const { client, onFenced, log } = options;
    const { lvolid } = lvolstruct;
    const manager = new ManagerPort({ client, lvolid, epoch, onFenced, log, ending: this.#ending.signal });
    const diskOf = (node: ParsedExtent): DiskConnection => this.#diskOf(node);
    this.mirrors = linearOf(lvolstruct).components.map((node) => {
      checkDisks(node.lvolid, node.components);
      return new Mirror({ lvolid, node, manager, diskOf, log });
    });
    this.linear = new Linear(this.mirrors);
  }

  /** Makes all mirrors fit to be served. @throws VasError EIO, ESTALE */
  async start(): Promise<void> {
    await inParallel(this.mirrors, MIRRORS_RECOVERED_AT_ONCE, recoverMirror);
    this.#sweeper = setInterval(() => void this.#sweep(), SWEEP_MS);
  }

  /** @returns 0, or EIO if the last good copy of something can't be made durable */
  flush(): Promise<number> {
    return flushVolume(this.#disks.values(), this.mirrors);
  }

  /** Flushes, clears the bits that may be cleared, and ends. @returns as `flush` */
  async end(): Promise<number> {
    clearInterval(this.#sweeper);
    const errno = await this.flush();
    if (errno === 0) await clearIdleBits(this.mirrors, () => this.flush(), 0);
    this.stop();
    return errno;
  }

  /** Ends at once: nothing more is sent. */
  stop(): void {
    clearInterval(this.#sweeper);
    this.#ending.abort();
    for (const disk of this.#disks.values()) disk.close();
  }

  async #sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    await clearIdleBits(this.mirrors, () => this.flush(), 1);
    this.#isSweeping = false;
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

/** Two copies on one disk are one copy; one that is out of use is none. @throws VasError EINVAL */
function checkDisks(mirrorid: number, extents: readonly ParsedExtent[]): void {
  const disks = extents
    .filter(({ mirror_status: status }) => status === MemberStatus.INSYNC || status === MemberStatus.SPARE)
    .map(({ lvolspec }) => lvolspec.pdskid);
  if (new Set(disks).size < disks.length) {
    throw new VasError("EINVAL", `mirror ${showMirror(mirrorid)} has two members on the same disk`);
  }
}
