import { VasError } from "../../../shared/errors.js";
import { showMirror } from "../../../shared/ids.js";
import { mapMirrors, type ParsedMirror, type ParsedVolume } from "../../../shared/layout-tree.js";
import { MemberStatus } from "../../../shared/states.js";
import type { ControlledVolume } from "../volume-control.js";
import { compareRegions } from "./compare-regions.js";
import { CHUNK_BYTES } from "./copy-chunk.js";
import type { Mirror } from "./mirror.js";
import { replaceMember } from "./replace-member.js";
import type { Resync } from "./resync.js";
import type { VolumeProcess } from "./volume-process.js";

/** A volume process, as it is driven. */
export function controlledVolume(process: VolumeProcess): ControlledVolume {
  const resyncs = new Map<number, Resync>();
  return {
    get state() {
      return process.state;
    },
    status: () => statusOf(process, resyncs),
    replaceMember: (asked) => replaceMember(mirrorOf(process, asked.mirrorid), asked, resyncs),
    compareRegions: (mirrorid, regions) => compareRegions(mirrorOf(process, mirrorid), regions),
    createSnapshot: (node) => process.snapshots.create(node),
    deleteSnapshot: (lvolid) => process.snapshots.delete(lvolid),
    detach: () => process.detach(),
  };
}

/** @throws VasError ENOENT */
function mirrorOf({ mirrors }: VolumeProcess, mirrorid: number): Mirror {
  const mirror = mirrors.find((candidate) => candidate.mirrorid === mirrorid);
  if (mirror === undefined) throw new VasError("ENOENT", `the volume has no mirror ${showMirror(mirrorid)}`);
  return mirror;
}

function statusOf(process: VolumeProcess, resyncs: ReadonlyMap<number, Resync>) {
  const { mirrors, snapshots } = process;
  return {
    state: process.state,
    clients: process.clients,
    lvolstruct: currentTree(process),
    resyncs: mirrors.flatMap((mirror) => resyncsOf(mirror, resyncs)),
    mirrors: mirrors.map((mirror) => ({
      mirrorid: mirror.mirrorid,
      version: mirror.version,
      members: mirror.members.map(({ dextid, state }) => ({ dextid, state })),
    })),
    snapshots: snapshots.status(),
  };
}

function resyncsOf(mirror: Mirror, resyncs: ReadonlyMap<number, Resync>) {
  return mirror.members.flatMap((member) => {
    const resync = resyncs.get(member.dextid);
    if (resync === undefined) return [];
    const { copied, total } = resync.progress;
    const percent = total === 0 ? 0 : Math.floor((copied * 100) / total);
    const bytes = { copied: copied * CHUNK_BYTES, total: total * CHUNK_BYTES };
    return [{ mirrorid: mirror.mirrorid, dextid: member.dextid, percent, ...bytes }];
  });
}

/** The layout tree as it is now: snapshots that are kept, members, their statuses, versions. */
function currentTree({ spec, mirrors, snapshots }: VolumeProcess): ParsedVolume {
  const current = new Map(mirrors.map((mirror) => [mirror.mirrorid, currentMirror(mirror)]));
  const { lvolstruct } = spec;
  const lvolspec = { ...lvolstruct.lvolspec, assoc: snapshots.live.map(({ node }) => node) };
  return mapMirrors({ ...lvolstruct, lvolspec }, (mirror) => current.get(mirror.lvolid) ?? mirror);
}

function currentMirror(mirror: Mirror): ParsedMirror {
  const components = mirror.members.map((member) => ({
    ...member.node,
    mirror_status: member.state === "insync" ? MemberStatus.INSYNC : MemberStatus.SPARE,
  }));
  return { ...mirror.node, lvolspec: { version: mirror.version }, components };
}
