import { z } from "zod";
import { VasError } from "../../shared/errors.js";
import {
  extentNode,
  type ParsedExtent,
  type ParsedSnapshot,
  snapshotNode,
} from "../../shared/layout-tree.js";
import { describeIssue, wireCounter, wireId } from "../../shared/wire-types.js";
import type { ControlHandlers } from "../common/control-socket.js";
import type { RegionDifference } from "./region-difference.js";

const replaceParams = z.object({
  mirrorid: wireId,
  version: wireCounter,
  add: extentNode,
  remove: extentNode.nullable(),
});
const compareParams = z.object({ mirrorid: wireId, regions: z.array(wireCounter) });
const createParams = z.object({ lvolstruct: snapshotNode });
const deleteParams = z.object({ lvolid: wireId });

/** A change of the members of one mirror, as the control process asks for it. */
export interface AskedReplacement {
  readonly mirrorid: number;
  /** The membership version that the manager knows. */
  readonly version: number;
  /** The extent to bring in sync: a new one, or one that was away. */
  readonly add: ParsedExtent;
  /** The extent to stop using. */
  readonly remove: ParsedExtent | null;
}

/** The process of a volume, as its control process drives it, whatever the volume is made of. */
export interface ControlledVolume {
  readonly state: "starting" | "serving" | "stopping";
  /** What `VolumeProcess.status` of the control process reads. */
  status(): unknown;
  /** @returns the membership version since which `add` is INSYNC at the manager */
  replaceMember(asked: AskedReplacement): Promise<number>;
  compareRegions(mirrorid: number, regions: readonly number[]): Promise<RegionDifference[]>;
  createSnapshot(node: ParsedSnapshot): Promise<void>;
  deleteSnapshot(lvolid: number): Promise<void>;
  detach(): Promise<void>;
}

/** What the control process may ask of a volume process. */
export function controlHandlers(volume: ControlledVolume): ControlHandlers {
  return {
    status: async () => volume.status(),
    replaceMember: async (params) => {
      const asked = parse(replaceParams, params);
      assertServing(volume);
      return { version: await volume.replaceMember(asked) };
    },
    compareRegions: async (params) => {
      const { mirrorid, regions } = parse(compareParams, params);
      assertServing(volume);
      return volume.compareRegions(mirrorid, regions);
    },
    createSnapshot: async (params) => {
      const { lvolstruct } = parse(createParams, params);
      assertServing(volume);
      await volume.createSnapshot(lvolstruct);
      return null;
    },
    deleteSnapshot: async (params) => {
      const { lvolid } = parse(deleteParams, params);
      assertServing(volume);
      await volume.deleteSnapshot(lvolid);
      return null;
    },
    detach: async () => {
      await volume.detach();
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
function assertServing({ state }: ControlledVolume): void {
  if (state !== "serving") throw new VasError("EAGAIN", `the volume is ${state}`);
}
