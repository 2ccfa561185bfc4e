import { z } from "zod";
import { VasError } from "../../../shared/errors.js";
import { showMirror } from "../../../shared/ids.js";
import {
  extentNode,
  mapMirrors,
  type ParsedMirror,
  type ParsedVolume,
  snapshotNode,
} from "../../../shared/layout-tree.js";
import { MemberStatus } from "../../../shared/states.js";
import { describeIssue, wireCounter, wireId } from "../../../shared/wire-types.js";
import type { ControlHandlers } from "../../common/control-socket.js";
import { compareRegions } from "./compare-regions.js";
import { CHUNK_BYTES } from "./copy-chunk.js";
import type { Mirror } from "./mirror.js";
import { replaceMember } from "./replace-member.js";
import type { Resync } from "./resync.js";
import type { VolumeProcess } from "./volume-process.js";

const replaceParams = z.object({
  mirrorid: wireId,
  version: wireCounter,
  add: extentNode,
  remove: extentNode.nullable(),
});

const compareParams = z.object({ mirrorid: wireId, regions: z.array(wireCounter) });
const createParams = z.object({ lvolstruct: snapshotNode });
const deleteParams = z.object({ lvolid: wireId });

/** What the control process may ask of a volume process. */
export function controlHandlers(process: VolumeProcess): ControlHandlers {
  const resyncs = new Map<number, Resync>();
  return {
    status: async () => statusOf(process, resyncs),
    replaceMember: async (params) => {
      const asked = parse(replaceParams, params);
      assertServing(process);
      return { version: await replaceMember(mirrorOf(process, asked.mirrorid), asked, resyncs) };
    },
    compareRegions: async (params) => {
      const { mirrorid, regions } = parse(compareParams, params);
      assertServing(process);
      return compareRegions(mirrorOf(process, mirrorid), regions);
    },
    createSnapshot: async (params) => {
      const { lvolstruct } = parse(createParams, params);
      assertServing(process);
      await process.snapshots.create(lvolstruct);
      return null;
    },
    deleteSnapshot: async (params) => {
      const { lvolid } = parse(deleteParams, params);
      assertServing(process);
      await process.snapshots.delete(lvolid);
      return null;
    },
    detach: async () => {
      await process.detach();
      return null;
    },
  };
}

/** @throws VasError EINVAL */
function parse<T>(schema: z.ZodType<T>, params: unknown): T {
  const parsed = schema.safeParse(params);
  if (!parsed.success) throw new VasError("EINVAL", describeIssue(parsed.error));
  return parsed.data;
}

/** @throws VasError EAGAIN */
function assertServing({ state }: VolumeProcess): void {
  if (state !== "serving") throw new VasError("EAGAIN", `the volume is ${state}`);
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
