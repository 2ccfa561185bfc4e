import { VasError } from "../../../shared/errors.js";
import type { Milliseconds } from "../../../shared/units.js";
import { InTurn } from "../../common/in-turn.js";
import { CopyBeforeWrite } from "./copy-before-write.js";
import type { DiskCommand } from "./disk-request.js";
import type { Linear } from "./linear.js";
import { chunksOfRange, type Snapshot } from "./snapshot.js";

/** A write, trim or write of zeroes, as the NBD server gave it. */
export interface OriginWrite {
  readonly command: DiskCommand;
  readonly offset: number;
  readonly length: number;
  readonly fua: boolean;
  readonly payload: readonly Buffer[];
}

/**
 * What is above the linear of a volume: it sees every write, so that snapshots can be taken between two of them, and has the
 * snapshots keep what a write is going to change.
 *
 * Invariants. A snapshot becomes active only while no write is under way. A write is sent only when every chunk it touches
 * is kept by each active snapshot, and the failure of each snapshot that could not keep it is recorded (rule R9).
 */
export class SnapshotOrigin {
  readonly #linear: Linear;
  readonly #copier: CopyBeforeWrite;
  readonly #instants = new InTurn();
  /** Active ones, and those whose failure the manager has not recorded yet. */
  #snapshots: readonly Snapshot[] = [];
  /** Writes that were given and are not answered. */
  #underWay = 0;
  /** Writes that came while the volume is held for an instant; undefined if it is not. */
  #queue: (() => void)[] | undefined;
  #drained: (() => void) | undefined;

  constructor(linear: Linear) {
    this.#linear = linear;
    this.#copier = new CopyBeforeWrite(linear, () => this.#snapshots);
  }

  write(request: OriginWrite, done: (errno: number) => void): void {
    if (this.#queue === undefined) this.#begin(request, done);
    else this.#queue.push(() => this.#begin(request, done));
  }

  /** From now on writes wait for what the snapshot needs. Not while writes are under way. */
  guard(snapshot: Snapshot): void {
    this.#snapshots = [...this.#snapshots, snapshot];
  }

  /** A snapshot is not there any more, or its failure is recorded. */
  forget(snapshot: Snapshot): void {
    this.#snapshots = this.#snapshots.filter((other) => other !== snapshot);
  }

  /**
   * Takes a snapshot: its instant is when no write is under way. New ones wait for it, for `withinMs` at the longest.
   *
   * @throws VasError ETIMEDOUT if the writes under way do not end in time; what `Snapshot.assertSound` throws
   */
  take(snapshot: Snapshot, withinMs: Milliseconds): Promise<void> {
    return this.#instants.run(async () => {
      await this.#drain(withinMs, () => {
        snapshot.assertSound();
        snapshot.activate();
        this.guard(snapshot);
      });
    });
  }

  #begin({ command, offset, length, fua, payload }: OriginWrite, done: (errno: number) => void): void {
    this.#underWay += 1;
    const answer = (errno: number): void => {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#drained?.();
      done(errno);
    };
    const send = (): void => this.#linear.write(command, offset, length, fua, payload, answer);
    if (this.#snapshots.length === 0) {
      send();
      return;
    }
    const run = chunksOfRange(offset, length);
    if (this.#copier.isNeeded(run)) void this.#copier.copy(run).then(send);
    else send();
  }

  /** Calls `act` when no write is under way, and lets the others go on in any case. */
  #drain(withinMs: Milliseconds, act: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue = [];
      const release = (): void => {
        clearTimeout(deadline);
        this.#drained = undefined;
        const queue = this.#queue ?? [];
        this.#queue = undefined;
        for (const begin of queue) begin();
      };
      const deadline = setTimeout(() => {
        release();
        reject(new VasError("ETIMEDOUT", `${this.#underWay} write(s) did not end within ${withinMs} ms`));
      }, withinMs);
      const instant = (): void => {
        try {
          act();
          resolve();
        } catch (error) {
          reject(error);
        }
        release();
      };
      if (this.#underWay === 0) instant();
      else this.#drained = instant;
    });
  }
}
