import type { ParsedSnapshot, ParsedVolume } from "../../shared/layout-tree.js";

/** Changes of the snapshots in a volume's layout tree. */
function withSnapshots(volume: ParsedVolume, assoc: readonly ParsedSnapshot[]): ParsedVolume {
  return { ...volume, lvolspec: { ...volume.lvolspec, assoc: [...assoc] } };
}

/** Adds a snapshot; one that is there is replaced by what is known of it now. */
export function addSnapshot(volume: ParsedVolume, snapshot: ParsedSnapshot): ParsedVolume {
  const others = volume.lvolspec.assoc.filter(({ lvolid }) => lvolid !== snapshot.lvolid);
  return withSnapshots(volume, [...others, snapshot]);
}

export function removeSnapshot(volume: ParsedVolume, lvolid: number): ParsedVolume {
  return keepSnapshots(volume, (snapshot) => snapshot.lvolid !== lvolid);
}

export function keepSnapshots(
  volume: ParsedVolume,
  isKept: (snapshot: ParsedSnapshot) => boolean,
): ParsedVolume {
  return withSnapshots(volume, volume.lvolspec.assoc.filter(isKept));
}

/**
 * A tree that was told a while ago, with the snapshots that are known now: none that was taken since is forgotten, and
 * none that was ended comes back.
 */
export function withSnapshotsOf(told: ParsedVolume, known: ParsedVolume): ParsedVolume {
  const byId = new Map(told.lvolspec.assoc.map((snapshot) => [snapshot.lvolid, snapshot]));
  return withSnapshots(
    told,
    known.lvolspec.assoc.map((snapshot) => byId.get(snapshot.lvolid) ?? snapshot),
  );
}
