import { VasError } from "../../shared/errors.js";
import { showExtent, showMirror, showVolume } from "../../shared/ids.js";
import type { ParsedSnapshot, ParsedVolume } from "../../shared/layout-tree.js";
import type { headAgentMethods } from "../../shared/methods/agent-methods.js";
import { describeIssue, volumeName } from "../../shared/wire-types.js";
import type { Handlers } from "../common/agent-door.js";
import type { Events } from "../common/events.js";
import type { AttachedVolume } from "./attached-volume.js";
import { compareRegions } from "./compare-regions.js";
import { listRunning } from "./list-running.js";
import { replaceMember } from "./replace-member.js";
import { volumePaths } from "./volume-process.js";
import type { Volumes } from "./volumes.js";

export interface HeadMethodsOptions {
  readonly volumes: Volumes;
  readonly events: Events;
  readonly runDir: string;
}

/** What a head agent does when it is called. */
export function createHeadMethods({
  volumes,
  events,
  runDir,
}: HeadMethodsOptions): Handlers<typeof headAgentMethods> {
  return {
    helloWorld: async () => 0,
    getEventStatus: async ({ eventid }) => events.tell(eventid),
    waitEvent: ({ eventid, timeout_ms }) => events.wait(eventid, timeout_ms),
    listRunning: ({ after }) => listRunning(volumes.all, after),
    attachLogicalVolume: async ({ eventid, epoch = 0, lvolstruct, maintenance = false, chap }) => {
      for (const node of [lvolstruct, ...lvolstruct.lvolspec.assoc]) assertServable(node, runDir);
      const subject = `attach ${showVolume(lvolstruct.lvolid)} epoch ${epoch}`;
      events.start(eventid, subject, ({ signal }) =>
        volumes.attach({ lvolstruct, epoch, maintenance, chap }, signal),
      );
      return 0;
    },
    detachLogicalVolume: async ({ eventid, epoch, lvolstruct: { lvolid } }) => {
      const subject = `detach ${showVolume(lvolid)} epoch ${epoch ?? "any"}`;
      events.start(eventid, subject, () => volumes.detach(lvolid, epoch));
      return 0;
    },
    createSnapshot: async ({ eventid, jobid, lvolid, epoch, lvolstruct }) => {
      assertServable(lvolstruct, runDir);
      const subject = `create snapshot ${showVolume(lvolstruct.lvolid)} of ${showVolume(lvolid)} epoch ${epoch}`;
      events.start(eventid, subject, () => volumes.createSnapshot(lvolid, epoch, lvolstruct, jobid));
      return 0;
    },
    deleteSnapshot: async ({ eventid, jobid, lvolid, epoch, snapshot_lvolid }) => {
      const subject = `delete snapshot ${showVolume(snapshot_lvolid)} of ${showVolume(lvolid)} epoch ${epoch}`;
      events.start(eventid, subject, () => volumes.deleteSnapshot(lvolid, epoch, snapshot_lvolid, jobid));
      return 0;
    },
    compareRegions: ({ lvolid, epoch, mirrorid, regions }) =>
      compareRegions(volumeOf(volumes, { mirrorid, lvolid, epoch }), mirrorid, regions),
    replaceMirrorDisk: async ({ eventid, lvolid, epoch, mirrorid, version = 0, add, remove }) => {
      const subject = `bring ${showExtent(add.lvolid)} into ${showMirror(mirrorid)} version ${version}`;
      if (events.knows(eventid, subject)) return 0;
      const volume = volumeOf(volumes, { mirrorid, lvolid, epoch });
      const change = { mirrorid, version, add, remove: "components" in remove ? remove : null };
      events.start(eventid, subject, (work) => replaceMember(volume, change, work));
      return 0;
    },
  };
}

interface MirrorPlace {
  readonly mirrorid: number;
  readonly lvolid: number | undefined;
  readonly epoch: number | undefined;
}

/** The volume that has a mirror. @throws VasError ENOENT */
function volumeOf(volumes: Volumes, { mirrorid, lvolid, epoch }: MirrorPlace): AttachedVolume {
  const volume = volumes.findByMirror(mirrorid, lvolid);
  if (volume !== undefined && (epoch === undefined || epoch === volume.epoch)) return volume;
  throw new VasError(
    "ENOENT",
    `${showMirror(mirrorid)} is of no volume that is served here under that epoch`,
  );
}

/** The name becomes a file name: what is no volume name must not reach the file system. */
function assertServable(lvolstruct: ParsedVolume | ParsedSnapshot, runDir: string): void {
  const name = volumeName.safeParse(lvolstruct.lvolspec.lvolname);
  if (!name.success)
    throw new VasError("EINVAL", `lvolstruct.lvolspec.lvolname ${describeIssue(name.error)}`);
  volumePaths(runDir, lvolstruct.lvolid, name.data);
}
