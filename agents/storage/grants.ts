import type { Chap } from "../../shared/methods/agent-methods.js";
import type { Gigabytes } from "../../shared/units.js";
import { extentPlace } from "../../shared/units.js";
import { InTurn } from "../common/in-turn.js";
import type { AccessFiles } from "./access-files.js";
import { type GenerationMap, highestGeneration, isZeroed, type Span, setRun } from "./generation-map.js";
import {
  type AccessChange,
  type DiskSpace,
  decideGrant,
  decideRevoke,
  type Grant,
  type GrantRequest,
  spanOf,
  type VolumeAccess,
} from "./grant-rules.js";
import { decideShred, diskOfTarget, type ShredTarget, unzeroedParts } from "./shred-rules.js";

/** What the export process of one disk enforces; places in bytes of the disk. */
export interface GrantsDocument {
  readonly grants: readonly {
    readonly lvolid: number;
    readonly epoch: number;
    /** By which the holder is known, where exports ask for that. */
    readonly chap?: Chap | undefined;
    readonly extents: readonly { readonly dextid: number; readonly start: number; readonly end: number }[];
  }[];
  readonly revoked: readonly { readonly lvolid: number; readonly epoch: number }[];
}

/**
 * Makes the export of a disk obey `documentFor` as it is when called, and returns when nothing else can reach the disk any
 * more; rejects if that can't be had in time. Volumes other than the one that it is done for are none of its concern.
 */
export type EnforceGrants = (pdskid: number, lvolid: number) => Promise<void>;

/**
 * Who may touch what on this server: the rules applied to a state that is durable before anything is done in its name.
 *
 * Order of each change: decided and written down, one at a time for the whole server; then enforced by the exports of the
 * disks concerned; then answered. What could not be enforced is remembered, durably, and enforced when the same is asked again;
 * after a start no disk is taken to obey before it has done so once.
 */
export class Grants {
  readonly #files: AccessFiles;
  readonly #enforce: EnforceGrants;
  readonly #volumes = new Map<number, VolumeAccess>();
  readonly #disks = new Map<number, DiskSpace>();
  readonly #turns = new InTurn();
  /** For each volume the disks that may not enforce its newest change yet, with the number of that change. */
  readonly #unsettled = new Map<number, Map<number, number>>();
  #changes = 0;

  private constructor(files: AccessFiles, enforce: EnforceGrants) {
    this.#files = files;
    this.#enforce = enforce;
  }

  /** @throws DamagedFileError */
  static async load(files: AccessFiles, enforce: EnforceGrants): Promise<Grants> {
    const grants = new Grants(files, enforce);
    for (const { volume, concerned } of await files.readVolumes()) {
      grants.#volumes.set(volume.lvolid, volume);
      const unsettled = new Map(concerned.map((pdskid) => [pdskid, 0]));
      if (unsettled.size > 0) grants.#unsettled.set(volume.lvolid, unsettled);
    }
    return grants;
  }

  /** Makes a disk known, or its new size. @throws DamagedFileError */
  async addDisk(pdskid: number, usable: Gigabytes): Promise<void> {
    await this.#turns.run(async () => {
      const known = this.#disks.get(pdskid);
      const generations = known?.generations ?? (await this.#files.readGenerations(pdskid));
      this.#disks.set(pdskid, { usable, generations, shredding: known?.shredding ?? [] });
    });
  }

  /** Makes a disk unknown: nothing can be granted or shredded on it. */
  async removeDisk(pdskid: number): Promise<void> {
    await this.#turns.run(async () => {
      this.#disks.delete(pdskid);
    });
  }

  /** grantExtents. @throws VasError, see decideGrant, or what enforcing rejects with */
  async grant(request: GrantRequest): Promise<void> {
    await this.#turns.run(() => this.#apply(decideGrant(this.#state, request)));
    await this.#settle(request.lvolid);
  }

  /** revokeEpoch. When it returns, no request of that epoch or one before it can reach a disk, ever. */
  async revoke(lvolid: number, epoch: number): Promise<void> {
    await this.#turns.run(() => this.#apply(decideRevoke(this.#state, lvolid, epoch)));
    await this.#settle(lvolid);
  }

  /**
   * Sets space aside for a shred, its generation raised durably; until `endShred` it can't be granted.
   *
   * @returns false if it was shredded under this generation already
   * @throws VasError, see decideShred
   */
  beginShred(target: ShredTarget): Promise<boolean> {
    return this.#turns.run(async () => {
      const generations = decideShred(this.#state, target);
      if (generations === undefined) return false;
      await this.#files.writeGenerations(target.pdskid, generations);
      const disk = diskOfTarget(this.#state, target);
      this.#disks.set(target.pdskid, {
        ...disk,
        generations,
        shredding: [...disk.shredding, spanOf(target)],
      });
      return true;
    });
  }

  /** @param isZero whether zeros are durable on all of it; this is written down */
  async endShred(target: ShredTarget, isZero: boolean): Promise<void> {
    await this.#turns.run(async () => {
      const disk = diskOfTarget(this.#state, target);
      const span = spanOf(target);
      const shredding = disk.shredding.filter((other) => !isSameSpan(other, span));
      this.#disks.set(target.pdskid, { ...disk, shredding });
      if (!isZero) return;
      const generations = setRun(disk.generations, { ...span, generation: target.generation, zeroed: true });
      await this.#files.writeGenerations(target.pdskid, generations);
      this.#disks.set(target.pdskid, { ...disk, generations, shredding });
    });
  }

  /** Writes down that zeros are durable on parts of what is being shredded: a restart does not begin it anew. */
  async keepZeroed(target: ShredTarget, parts: readonly Span[]): Promise<void> {
    await this.#turns.run(async () => {
      const disk = diskOfTarget(this.#state, target);
      const { generation } = target;
      const zero = (map: GenerationMap, part: Span) => setRun(map, { ...part, generation, zeroed: true });
      const generations = parts.reduce(zero, disk.generations);
      await this.#files.writeGenerations(target.pdskid, generations);
      this.#disks.set(target.pdskid, { ...disk, generations });
    });
  }

  /** What a shred has still to do. @throws VasError ENOENT, EINVAL */
  unzeroedParts(target: ShredTarget): Span[] {
    return unzeroedParts(diskOfTarget(this.#state, target).generations, spanOf(target), target.generation);
  }

  /** The highest generation known for any part of a place. @throws VasError ENOENT, EINVAL */
  newestGeneration(place: Omit<ShredTarget, "generation">): number {
    return highestGeneration(diskOfTarget(this.#state, place).generations, spanOf(place));
  }

  /** Whether zeros are durable on all of it since a shred of this generation. @throws VasError ENOENT, EINVAL */
  isShredded(target: ShredTarget): boolean {
    return isZeroed(diskOfTarget(this.#state, target).generations, spanOf(target), target.generation);
  }

  /** The volumes that may touch anything, by id. */
  granted(): (VolumeAccess & { readonly grant: Grant })[] {
    return [...this.#volumes.values()].filter(isGranted).sort((a, b) => a.lvolid - b.lvolid);
  }

  /** What is known of the space of each disk, by id. */
  generations(): (readonly [pdskid: number, GenerationMap])[] {
    return [...this.#disks]
      .map(([pdskid, { generations }]) => [pdskid, generations] as const)
      .sort(([a], [b]) => a - b);
  }

  /** What the export of a disk is to enforce now. */
  documentFor(pdskid: number): GrantsDocument {
    const volumes = [...this.#volumes.values()].flatMap(({ lvolid, revoked, grant }) => {
      const here = grant?.extents.filter((extent) => extent.pdskid === pdskid) ?? [];
      const extents = here.map(({ dextid, offset, capacity }) => {
        const { start, end } = extentPlace(offset, capacity);
        return { dextid, start, end };
      });
      return grant === undefined || extents.length === 0
        ? []
        : [{ lvolid, epoch: grant.epoch, chap: grant.chap, revoked, extents }];
    });
    return {
      grants: volumes.map(({ lvolid, epoch, chap, extents }) => ({ lvolid, epoch, chap, extents })),
      // The closed epochs of other volumes need no word: what is not granted is refused.
      revoked: volumes
        .map(({ lvolid, revoked }) => ({ lvolid, epoch: revoked }))
        .filter(({ epoch }) => epoch >= 0),
    };
  }

  get #state() {
    return { volumes: this.#volumes, disks: this.#disks };
  }

  /** Generations first: if we die in between, space is known to be newer than any grant of it, which is safe. */
  async #apply(change: AccessChange | undefined): Promise<void> {
    if (change === undefined) return;
    for (const [pdskid, generations] of change.generations) {
      const disk = this.#disks.get(pdskid);
      if (disk === undefined) continue;
      await this.#files.writeGenerations(pdskid, generations);
      this.#disks.set(pdskid, { ...disk, generations });
    }
    const { lvolid } = change.volume;
    const unsettled = this.#unsettled.get(lvolid) ?? new Map<number, number>();
    const concerned = [...new Set([...unsettled.keys(), ...change.disks])];
    await this.#files.writeVolume({ volume: change.volume, concerned });
    // Both in one go: whoever enforces a change that is noted here enforces it as it is.
    this.#volumes.set(lvolid, change.volume);
    this.#changes += 1;
    for (const pdskid of change.disks) unsettled.set(pdskid, this.#changes);
    this.#unsettled.set(lvolid, unsettled);
  }

  async #settle(lvolid: number): Promise<void> {
    const unsettled = this.#unsettled.get(lvolid);
    if (unsettled === undefined) return;
    const outcomes = await Promise.allSettled(
      [...unsettled].map(async ([pdskid, change]) => {
        await this.#enforce(pdskid, lvolid);
        if (unsettled.get(pdskid) === change) unsettled.delete(pdskid);
      }),
    );
    if (unsettled.size === 0) this.#unsettled.delete(lvolid);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

function isGranted(volume: VolumeAccess): volume is VolumeAccess & { readonly grant: Grant } {
  return volume.grant !== undefined;
}

function isSameSpan(a: Span, b: Span): boolean {
  return a.start === b.start && a.end === b.end;
}
