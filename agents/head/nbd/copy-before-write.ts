import { VasError } from "../../../shared/errors.js";
import { SNAPSHOT_CHUNK_BYTES } from "../../../shared/snapshot-space.js";
import { MIB } from "../../../shared/units.js";
import { inParallel } from "../../common/in-parallel.js";
import { sliceBuffers } from "./buffer-list.js";
import { CopySlots } from "./copy-slots.js";
import { type ChunkRun, KeptChunks } from "./kept-chunks.js";
import type { Linear } from "./linear.js";
import { RangeHolder, RangeLock } from "./range-lock.js";
import type { Snapshot } from "./snapshot.js";

/** The longest run that is copied as one. A mirror has whole ones. */
const UNIT_CHUNKS = MIB / SNAPSHOT_CHUNK_BYTES;
/** Of one write. */
const UNITS_AT_ONCE = 4;
/** Of all writes together: what copying may take of memory, in units. */
const UNITS_IN_ALL = 64;

/** A unit's chunks for one copier alone. */
class UnitLock extends RangeHolder {
  constructor(
    { first, end }: ChunkRun,
    override readonly granted: () => void,
  ) {
    super(first, end);
  }
}

/**
 * Keeps in the snapshots what a write is going to change. The old content is read once and given to all snapshots that
 * lack it; each is waited for, and none can fail another.
 */
export class CopyBeforeWrite {
  readonly #lock = new RangeLock();
  readonly #slots = new CopySlots(UNITS_IN_ALL);

  /** @param snapshots gives those that copies are made for right now, and those whose failure is not recorded yet */
  constructor(
    private readonly origin: Linear,
    private readonly snapshots: () => readonly Snapshot[],
  ) {}

  /** Whether a write to these chunks has to wait. */
  isNeeded(run: ChunkRun): boolean {
    for (const { space } of this.snapshots()) if (!space.kept.hasAll(run)) return true;
    return false;
  }

  /** Resolves when the chunks may be written to. Never rejects. */
  async copy({ first, end }: ChunkRun): Promise<void> {
    const units: ChunkRun[] = [];
    for (let at = first; at < end; ) {
      const next = Math.min(end, (Math.floor(at / UNIT_CHUNKS) + 1) * UNIT_CHUNKS);
      units.push({ first: at, end: next });
      at = next;
    }
    await inParallel(units, UNITS_AT_ONCE, (unit) => this.#copyUnit(unit));
  }

  async #copyUnit(unit: ChunkRun): Promise<void> {
    if (this.#lacking(unit).length > 0) {
      const lock = await this.#locked(unit);
      await this.#slots.take();
      // Others may have copied them meanwhile.
      const lacking = this.#lacking(unit);
      if (lacking.length > 0) await this.#copyFor(lacking, unit);
      this.#slots.give();
      this.#lock.release(lock);
    }
    const failed = this.snapshots().filter(
      ({ state, space }) => state === "invalid" && !space.kept.hasAll(unit),
    );
    await Promise.all(failed.map(({ recorded }) => recorded));
  }

  #lacking(unit: ChunkRun): Snapshot[] {
    return this.snapshots().filter(({ state, space }) => state === "active" && !space.kept.hasAll(unit));
  }

  #locked(unit: ChunkRun): Promise<UnitLock> {
    return new Promise((resolve) => {
      const wish: UnitLock = new UnitLock(unit, () => resolve(wish));
      this.#lock.acquire(wish);
    });
  }

  async #copyFor(snapshots: readonly Snapshot[], unit: ChunkRun): Promise<void> {
    const [only, ...others] = snapshots;
    const lacked =
      others.length === 0 && only !== undefined ? only.space.kept.cut(unit) : inAll(snapshots, unit);
    await Promise.all(lacked.filter(({ isKept }) => !isKept).map((run) => this.#copyRun(snapshots, run)));
  }

  async #copyRun(snapshots: readonly Snapshot[], run: ChunkRun): Promise<void> {
    const data = await this.#read(snapshots, run);
    if (data === undefined) return;
    const copies = snapshots.flatMap((snapshot) => {
      const own = snapshot.space.kept.cut(run).filter(({ isKept }) => !isKept);
      return own.map(({ first, end }) => {
        const from = (first - run.first) * SNAPSHOT_CHUNK_BYTES;
        const to = (end - run.first) * SNAPSHOT_CHUNK_BYTES;
        return snapshot.keep({ first, end }, sliceBuffers(data, from, to));
      });
    });
    await Promise.all(copies);
  }

  /** @returns undefined if it can't be read: then the snapshots have failed, or the write to come is going to */
  #read(snapshots: readonly Snapshot[], { first, end }: ChunkRun): Promise<readonly Buffer[] | undefined> {
    const offset = first * SNAPSHOT_CHUNK_BYTES;
    const length = (end - first) * SNAPSHOT_CHUNK_BYTES;
    return new Promise((resolve) => {
      this.origin.read(offset, length, (errno, data = []) => {
        if (errno === 0) {
          resolve(data);
          return;
        }
        // Where the volume takes no writes any more, nothing is going to change.
        if (!this.origin.isBroken(offset, length)) {
          const sentence = `its volume answered errno ${errno} when ${length} bytes at ${offset} were to be kept`;
          for (const snapshot of snapshots) snapshot.fail(new VasError("EIO", sentence));
        }
        resolve(undefined);
      });
    });
  }
}

/** Cuts a unit where at least one of the snapshots lacks something, and where none does. */
function inAll(snapshots: readonly Snapshot[], unit: ChunkRun) {
  const keptByAll = new KeptChunks();
  for (let chunk = unit.first; chunk < unit.end; chunk += 1) {
    if (snapshots.every(({ space }) => space.kept.has(chunk)))
      keptByAll.add({ first: chunk, end: chunk + 1 });
  }
  return keptByAll.cut(unit);
}
