import { describeError, VasError } from "../../../shared/errors.js";
import { showVolume } from "../../../shared/ids.js";
import type { ParsedSnapshot } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { inParallel } from "../../common/in-parallel.js";
import { BitSweeper } from "./clear-bits.js";
import type { Mirror } from "./mirror.js";
import { SnapshotServer } from "./serve-snapshot.js";
import { Snapshot } from "./snapshot.js";
import type { SnapshotSpace } from "./snapshot-space.js";
import type { VolumeSpec } from "./spec.js";
import { SWEEP_MS, type Volume } from "./volume.js";

const OPENED_AT_ONCE = 4;
/** How long the last replies may take to leave. */
const LINGER_MS: Milliseconds = 1000;
/** What the writes under way get beyond the time after which a silent disk has failed. */
const DRAIN_EXTRA_MS: Milliseconds = 2000;

/** A snapshot and what belongs to it. */
interface Entry {
  readonly snapshot: Snapshot;
  readonly server: SnapshotServer;
  /** Not before its mirrors are equal: until then every bit is needed. */
  sweeper: BitSweeper | undefined;
  /** Its creation, while that is under way. */
  creation: Promise<void> | undefined;
  /** Its deletion, once that has begun. */
  deletion: Promise<void> | undefined;
}

/** What `status` tells of a snapshot. */
export interface SnapshotStatus {
  readonly lvolid: number;
  readonly state: "active" | "invalid" | "creating";
  readonly clients: number;
  /** Chunks that are kept. */
  readonly copied: number;
}

/** The snapshots of a volume: those it had when the process started, and those taken and dropped since. */
export class Snapshots {
  readonly #entries = new Map<number, Entry>();

  constructor(
    private readonly volume: Volume,
    private readonly spec: VolumeSpec,
    private readonly log: Log,
  ) {}

  /** Those that are kept, in the order of their ids. */
  get live(): readonly Snapshot[] {
    return this.#all.map(({ snapshot }) => snapshot).filter(({ state }) => state === "active");
  }

  /** The mirrors of the copy-on-write spaces of those that are kept. */
  get mirrors(): readonly Mirror[] {
    return this.live.flatMap(({ space }) => space.mirrors);
  }

  get clients(): number {
    return this.#all.reduce((sum, { server }) => sum + server.clients, 0);
  }

  /** One that a client has open. */
  get inUse(): Snapshot | undefined {
    return this.#all.find(({ server }) => server.clients > 0)?.snapshot;
  }

  status(): SnapshotStatus[] {
    return this.#all.flatMap(({ snapshot, server }) => {
      const { lvolid, state, space } = snapshot;
      if (state === "ended") return [];
      return [{ lvolid, state, clients: server.clients, copied: space.kept.count }];
    });
  }

  /**
   * Makes the volume's snapshots fit for use, before there are writes. One that can't be had is invalid: the manager is told,
   * and the volume is served without it.
   */
  async start(): Promise<void> {
    await inParallel(this.spec.lvolstruct.lvolspec.assoc, OPENED_AT_ONCE, (node) => this.#resume(node));
  }

  /** Makes them accessible. What keeps one from that does not keep the volume from it. */
  async listen(): Promise<void> {
    await Promise.all(
      this.#all.map(async ({ snapshot, server }) => {
        try {
          await server.listen(this.spec.socket);
        } catch (error) {
          this.log.error(`${showVolume(snapshot.lvolid)} can't be accessed: ${describeError(error)}`);
        }
      }),
    );
  }

  /**
   * Takes a snapshot: it holds every write that was answered before this was called, and none that is given after it
   * returned (D8). A repeated call joins the first. After a failure nothing of it is left here.
   *
   * @throws VasError ETIMEDOUT if writes under way do not end in time, EINVAL, EIO, EBUSY if it is being deleted
   */
  create(node: ParsedSnapshot): Promise<void> {
    const known = this.#entries.get(node.lvolid);
    if (known?.deletion !== undefined) {
      throw new VasError("EBUSY", `${showVolume(node.lvolid)} is being deleted`);
    }
    if (known?.creation !== undefined) return known.creation;
    if (known?.snapshot.state === "active") return Promise.resolve();
    if (known !== undefined) throw new VasError("EIO", `${showVolume(node.lvolid)} is invalid`);
    const entry = this.#add(node);
    entry.creation = this.#create(entry).finally(() => {
      entry.creation = undefined;
    });
    return entry.creation;
  }

  /**
   * Drops a snapshot. When this returns nothing is kept for it any more, and nothing lands in its space. One that is not
   * there is dropped.
   *
   * @throws VasError EBUSY while clients have it open
   */
  async delete(lvolid: number): Promise<void> {
    const entry = this.#entries.get(lvolid);
    if (entry === undefined) return;
    await entry.creation?.catch(() => undefined);
    if (entry.deletion === undefined) {
      const { clients } = entry.server;
      if (clients > 0) throw new VasError("EBUSY", `${clients} client(s) have the snapshot open`);
      entry.server.refuse();
      entry.deletion = this.#drop(entry);
    }
    await entry.deletion;
  }

  refuse(): void {
    for (const { server } of this.#all) server.refuse();
  }

  fence(): void {
    for (const { server } of this.#all) server.fence();
  }

  /** Ends the exports; the snapshots stay, so that writes under way can be kept for them. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map(({ server }) => server.close(LINGER_MS)));
  }

  /** Clears the bits that may be cleared, as far as the disks answer: nothing waits longer than a member may be silent. */
  async end(): Promise<void> {
    for (const { sweeper } of this.#all) sweeper?.stop();
    const all = Promise.all(this.live.map(({ space }) => space.clearBits(0)));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.spec.memberTimeoutMs);
    });
    await Promise.race([all, late]);
    clearTimeout(timer);
  }

  get #all(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => a.snapshot.lvolid - b.snapshot.lvolid);
  }

  /** @throws VasError EINVAL */
  #add(node: ParsedSnapshot): Entry {
    const { volume, spec, log } = this;
    const onBroken = (why: string) => snapshot.fail(new VasError("EIO", why));
    const snapshot: Snapshot = new Snapshot({
      node,
      space: volume.buildSpace(node, onBroken),
      origin: volume.linear,
      manager: volume.manager,
      timeoutMs: spec.snapshotTimeoutMs,
      log,
      onRecorded: (recorded) => volume.origin.forget(recorded),
    });
    const server = new SnapshotServer(snapshot);
    const entry = { snapshot, server, sweeper: undefined, creation: undefined, deletion: undefined };
    this.#entries.set(node.lvolid, entry);
    return entry;
  }

  async #resume(node: ParsedSnapshot): Promise<void> {
    const entry = this.#add(node);
    const { snapshot } = entry;
    const { origin } = this.volume;
    origin.guard(snapshot);
    try {
      await this.#prepare(entry, (space) => space.open());
      snapshot.activate();
    } catch (error) {
      snapshot.giveUp(error);
    }
  }

  async #prepare(entry: Entry, work: (space: SnapshotSpace) => Promise<void>): Promise<void> {
    const { snapshot } = entry;
    await snapshot.prepare(work);
    entry.sweeper = new BitSweeper(SWEEP_MS, (idleSweeps) => snapshot.space.clearBits(idleSweeps));
  }

  async #create(entry: Entry): Promise<void> {
    const { snapshot, server } = entry;
    const { spec, volume } = this;
    try {
      await this.#prepare(entry, (space) => space.create());
      await volume.origin.take(snapshot, spec.memberTimeoutMs + DRAIN_EXTRA_MS);
      // Else a crash of the storage servers could undo what the snapshot holds.
      await this.#flush();
      snapshot.assertSound();
      await server.listen(spec.socket);
    } catch (error) {
      await this.#drop(entry);
      throw error instanceof VasError ? error : new VasError("EIO", describeError(error), { cause: error });
    }
  }

  /** @throws VasError EIO, ETIMEDOUT while the last good copy of something is away */
  async #flush(): Promise<void> {
    const limitMs = this.spec.snapshotTimeoutMs;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new VasError("ETIMEDOUT", `the volume could not be flushed within ${limitMs} ms`);
      timer = setTimeout(() => reject(error), limitMs);
    });
    try {
      const errno = await Promise.race([this.volume.flush(), late]);
      if (errno !== 0) throw new VasError("EIO", "the last good copy of a mirror could not be flushed");
    } finally {
      clearTimeout(timer);
    }
  }

  async #drop({ snapshot, server, sweeper }: Entry): Promise<void> {
    sweeper?.stop();
    this.volume.origin.forget(snapshot);
    await Promise.all([server.close(LINGER_MS), snapshot.drop()]);
    this.volume.forgetSpace(snapshot.space);
    this.#entries.delete(snapshot.lvolid);
  }
}
