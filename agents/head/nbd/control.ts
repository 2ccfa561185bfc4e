import { z } from "zod";
import { VasError } from "../../../shared/errors.js";
import { showMirror } from "../../../shared/ids.js";
import { extentNode, mapMirrors, type ParsedMirror, type ParsedVolume } from "../../../shared/layout-tree.js";
import { MemberStatus } from "../../../shared/states.js";
import { describeIssue, wireCounter, wireId } from "../../../shared/wire-types.js";
import type { ControlHandlers } from "../../common/control-socket.js";
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

/** What the control process may ask of a volume process. */
export function controlHandlers(process: VolumeProcess): ControlHandlers {
  const resyncs = new Map<number, Resync>();
  return {
    status: async () => statusOf(process, resyncs),
    replaceMember: async (params) => {
      const parsed = replaceParams.safeParse(params);
      if (!parsed.success) throw new VasError("EINVAL", describeIssue(parsed.error));
      if (process.state !== "serving") throw new VasError("EAGAIN", `the volume is ${process.state}`);
      const mirror = process.volume.mirrors.find(({ mirrorid }) => mirrorid === parsed.data.mirrorid);
      if (mirror === undefined) {
        throw new VasError("ENOENT", `the volume has no mirror ${showMirror(parsed.data.mirrorid)}`);
      }
      return { version: await replaceMember(mirror, parsed.data, resyncs) };
    },
    detach: async () => {
      await process.detach();
      return null;
    },
  };
}

function statusOf(process: VolumeProcess, resyncs: ReadonlyMap<number, Resync>) {
  const { volume } = process;
  return {
    state: process.state,
    clients: process.clients,
    lvolstruct: currentTree(process),
    resyncs: volume.mirrors.flatMap((mirror) => resyncsOf(mirror, resyncs)),
    mirrors: volume.mirrors.map((mirror) => ({
      mirrorid: mirror.mirrorid,
      version: mirror.version,
      members: mirror.members.map(({ dextid, state }) => ({ dextid, state })),
    })),
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

/** The layout tree as it is now: members, their statuses, versions. */
function currentTree({ spec, volume }: VolumeProcess): ParsedVolume {
  const current = new Map(volume.mirrors.map((mirror) => [mirror.mirrorid, currentMirror(mirror)]));
  return mapMirrors(spec.lvolstruct, (mirror) => current.get(mirror.lvolid) ?? mirror);
}

function currentMirror(mirror: Mirror): ParsedMirror {
  const components = mirror.members.map((member) => ({
    ...member.node,
    mirror_status: member.state === "insync" ? MemberStatus.INSYNC : MemberStatus.SPARE,
  }));
  return { ...mirror.node, lvolspec: { version: mirror.version }, components };
}
