import { VasError } from "../../shared/errors.js";
import { showDisk, showExtent, showVolume } from "../../shared/ids.js";
import type { Chap, GrantedExtent } from "../../shared/methods/agent-methods.js";
import type { Gigabytes } from "../../shared/units.js";
import { type GenerationMap, highestGeneration, type Span, setRun } from "./generation-map.js";

/** What the holder of one epoch of a volume may touch on this server. */
export interface Grant {
  readonly epoch: number;
  readonly hsvrid: number;
  readonly version: number;
  readonly extents: readonly GrantedExtent[];
  /** By which the holder is known, if the exports ask for that. */
  readonly chap?: Chap | undefined;
}

/** All that is known of a volume. Invariants: `revoked` never falls; a grant's epoch is above it. */
export interface VolumeAccess {
  readonly lvolid: number;
  /** Highest epoch that is closed for ever; -1 if none is. */
  readonly revoked: number;
  readonly grant: Grant | undefined;
}

/** A disk as the rules see it. */
export interface DiskSpace {
  readonly usable: Gigabytes;
  readonly generations: GenerationMap;
  /** What is being overwritten right now. */
  readonly shredding: readonly Span[];
}

/** The state that decisions are made on. Invariant: no two grants overlap, and no grant overlaps a shred. */
export interface AccessState {
  readonly volumes: ReadonlyMap<number, VolumeAccess>;
  readonly disks: ReadonlyMap<number, DiskSpace>;
}

/** What a decision changes. Nothing is changed by a request that is refused. */
export interface AccessChange {
  readonly volume: VolumeAccess;
  readonly generations: ReadonlyMap<number, GenerationMap>;
  /** Disks on which something is allowed now that was not, or the other way round. */
  readonly disks: ReadonlySet<number>;
}

export interface GrantRequest extends Grant {
  readonly lvolid: number;
}

export const spanOf = (place: { readonly offset: Gigabytes; readonly capacity: Gigabytes }): Span => ({
  start: place.offset,
  end: place.offset + place.capacity,
});

export const overlap = (a: Span, b: Span): boolean => a.start < b.end && b.start < a.end;

/** What is known of a volume, heard of or not. */
export function accessOf(state: AccessState, lvolid: number): VolumeAccess {
  return state.volumes.get(lvolid) ?? { lvolid, revoked: -1, grant: undefined };
}

/**
 * Decides on grantExtents.
 *
 * @returns undefined if this very grant holds already
 * @throws VasError ESTALE, EINVAL, ENOENT, EBUSY as docs/agent-protocol.md says
 */
export function decideGrant(state: AccessState, request: GrantRequest): AccessChange | undefined {
  const { lvolid, epoch, hsvrid, version, extents, chap } = request;
  const known = accessOf(state, lvolid);
  assertCurrent(known, request);
  if (known.grant?.epoch === epoch && known.grant.version === version) {
    if (sameExtents(known.grant.extents, extents)) return undefined;
    throw new VasError(
      "EINVAL",
      `version ${version} of the grant of ${showVolume(lvolid)} has other extents`,
    );
  }
  assertPlaces(state, extents);
  assertUnused(state, request);
  return {
    volume: {
      lvolid,
      revoked: Math.max(known.revoked, epoch - 1),
      grant: { epoch, hsvrid, version, extents, chap },
    },
    generations: raiseGenerations(state, extents),
    disks: new Set([...(known.grant?.extents ?? []), ...extents].map((extent) => extent.pdskid)),
  };
}

/** Decides on revokeEpoch, which can't be refused. @returns undefined if the epoch is closed already. */
export function decideRevoke(state: AccessState, lvolid: number, epoch: number): AccessChange | undefined {
  const known = accessOf(state, lvolid);
  if (epoch <= known.revoked) return undefined;
  const isClosed = known.grant !== undefined && known.grant.epoch <= epoch;
  return {
    volume: { lvolid, revoked: epoch, grant: isClosed ? undefined : known.grant },
    generations: new Map(),
    disks: new Set(isClosed ? known.grant?.extents.map((extent) => extent.pdskid) : []),
  };
}

/** The past has no access: neither a closed epoch, nor one below the present, nor an older version of the same. */
function assertCurrent(known: VolumeAccess, { lvolid, epoch, version }: GrantRequest): void {
  const volume = showVolume(lvolid);
  if (epoch <= known.revoked) {
    throw new VasError("ESTALE", `epoch ${epoch} of ${volume} is closed, as all up to ${known.revoked} are`);
  }
  if (known.grant === undefined) return;
  if (epoch < known.grant.epoch) {
    throw new VasError("ESTALE", `epoch ${epoch} of ${volume} is past, ${known.grant.epoch} is granted`);
  }
  if (epoch === known.grant.epoch && version < known.grant.version) {
    throw new VasError(
      "ESTALE",
      `version ${version} of the grant of ${volume} is past, ${known.grant.version} holds`,
    );
  }
}

/** Each extent lies on a disk that is here, within it, and is of its space's newest generation. */
function assertPlaces(state: AccessState, extents: readonly GrantedExtent[]): void {
  for (const { dextid, pdskid, offset, capacity, generation } of extents) {
    const disk = state.disks.get(pdskid);
    if (disk === undefined) throw new VasError("ENOENT", `${showDisk(pdskid)} is not served here`);
    const span = spanOf({ offset, capacity });
    if (span.end > disk.usable) {
      throw new VasError(
        "EINVAL",
        `${showExtent(dextid)} ends at ${span.end} GB of ${showDisk(pdskid)}, which has ${disk.usable}`,
      );
    }
    const newest = highestGeneration(disk.generations, span);
    if (generation < newest) {
      throw new VasError(
        "ESTALE",
        `${showExtent(dextid)} has generation ${generation}, its space has ${newest}`,
      );
    }
    if (disk.shredding.some((shred) => overlap(shred, span))) {
      throw new VasError("EBUSY", `the space of ${showExtent(dextid)} is being shredded`);
    }
  }
}

/** No byte is granted to two volumes, or twice to one. */
function assertUnused(state: AccessState, { lvolid, extents }: GrantRequest): void {
  const byDisk = new Map<number, GrantedExtent[]>();
  for (const extent of extents) {
    const list = byDisk.get(extent.pdskid) ?? [];
    list.push(extent);
    byDisk.set(extent.pdskid, list);
  }
  for (const list of byDisk.values()) {
    list.sort((a, b) => a.offset - b.offset);
    for (const [place, extent] of list.entries()) {
      const next = list[place + 1];
      if (next !== undefined && overlap(spanOf(extent), spanOf(next)))
        throw overlapping(extent, lvolid, next);
    }
  }
  for (const other of state.volumes.values()) {
    if (other.lvolid === lvolid) continue;
    for (const taken of other.grant?.extents ?? []) {
      const extent = byDisk.get(taken.pdskid)?.find((mine) => overlap(spanOf(mine), spanOf(taken)));
      if (extent !== undefined) throw overlapping(extent, other.lvolid, taken);
    }
  }
}

function overlapping(extent: GrantedExtent, holder: number, taken: GrantedExtent): VasError {
  return new VasError(
    "EINVAL",
    `${showExtent(extent.dextid)} overlaps ${showExtent(taken.dextid)}, which is granted to ${showVolume(holder)}`,
  );
}

/** What is granted will be written: it is of the new generation, and not zeroed any more. */
function raiseGenerations(state: AccessState, extents: readonly GrantedExtent[]): Map<number, GenerationMap> {
  const raised = new Map<number, GenerationMap>();
  for (const { pdskid, generation, ...place } of extents) {
    const before = raised.get(pdskid) ?? state.disks.get(pdskid)?.generations ?? [];
    raised.set(pdskid, setRun(before, { ...spanOf(place), generation, zeroed: false }));
  }
  return raised;
}

function sameExtents(a: readonly GrantedExtent[], b: readonly GrantedExtent[]): boolean {
  return a.length === b.length && listed(a) === listed(b);
}

/** An extent set as a text that does not depend on its order. */
function listed(extents: readonly GrantedExtent[]): string {
  return extents
    .map(({ dextid, pdskid, offset, capacity, generation }) =>
      [dextid, pdskid, offset, capacity, generation].join(" "),
    )
    .sort()
    .join("\n");
}
