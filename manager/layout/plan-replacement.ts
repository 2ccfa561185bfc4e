import { VasError } from "../../shared/errors.js";
import type { Gigabytes } from "../../shared/units.js";
import type { Candidate, Place, Wish } from "./candidates.js";
import { ClusterRoom } from "./cluster-room.js";
import { explain } from "./explain.js";
import { diskIsUnused, serverIsUnused, zoneIsUnused } from "./filters.js";
import { placeMirror } from "./place-mirror.js";
import { proportional } from "./weights.js";

/** A mirror that is to get one more member. */
export interface ReplacementWish {
  readonly length: Gigabytes;
  /** Of the members that stay; without its zone, one that leaves as soon as the new one is filled. */
  readonly members: readonly { readonly ssvrid: number; readonly zone: string | undefined }[];
  /** Disks that hold another extent of the mirror, also one that is out of use: its head may know both. */
  readonly disks: ReadonlySet<number>;
  readonly candidates: readonly Candidate[];
}

/**
 * Finds a place for one more member of a mirror: on a server that has none, in a zone that has none if one has room.
 *
 * @throws VasError ENOSPC with why each server has no room.
 */
export function planReplacement({ length, members, disks, candidates }: ReplacementWish): Place {
  const wish: Wish = {
    length,
    usedServers: new Set(members.map((member) => member.ssvrid)),
    usedDisks: disks,
    usedZones: new Set(members.flatMap(({ zone }) => zone ?? [])),
  };
  const allowed = candidates.filter(
    (disk) => serverIsUnused.keeps(disk, wish) && diskIsUnused.keeps(disk, wish),
  );
  const preferred = allowed.filter((disk) => zoneIsUnused.keeps(disk, wish));
  const place = bestPlace(preferred, length) ?? bestPlace(allowed, length);
  if (place !== undefined) return place;
  throw new VasError(
    "ENOSPC",
    `one more copy of ${length} GB needs 1 more storage server with room, 0 have it (${explain(candidates, wish)})`,
  );
}

function bestPlace(candidates: readonly Candidate[], length: Gigabytes): Place | undefined {
  const room = new ClusterRoom(candidates, proportional);
  room.begin(length);
  return placeMirror(room, 1)?.[0];
}
