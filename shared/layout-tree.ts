import { z } from "zod";
import { MemberStatus, VolumeType } from "./states.js";
import { wireId, wireInt } from "./wire-types.js";

/**
 * The layout tree of a volume, `lvolstruct` on the wire: a LVOL over a LINEAR over MIRRORs over disk extents (DEXT).
 * The members of the API reference come first in each type; ours, which the agents need, follow and are optional for
 * a reader that does not know them. Capacities and offsets are in GB.
 */
export interface ExtentNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.DEXT;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: {
    readonly pdskid: number;
    /** Where the extent starts on its disk, in extent units of 1025 MiB. */
    readonly offset: number;
    readonly ssvrid: number;
    /** One per data address of its server: `nbd://ADDR:PORT/pdsk-%08x`. */
    readonly iscsi_path: readonly string[];
    /** Raised at each allocation and each shred of this space; the storage agent refuses a lower one. */
    readonly generation: number;
  };
  readonly labels: readonly string[];
  readonly components: readonly [];
}

export interface MirrorNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.MIRROR;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: {
    /** Membership version: raised by every member report and every change of the members. */
    readonly version: number;
  };
  readonly labels: readonly string[];
  readonly components: readonly ExtentNode[];
}

export interface LinearNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.LINEAR;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: Record<string, never>;
  readonly labels: readonly string[];
  readonly components: readonly MirrorNode[];
}

export interface VolumeNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.LVOL;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: {
    readonly lvolname: string;
    readonly redundancy: number;
    /** The volume's snapshots; empty until there are any. */
    readonly assoc: readonly never[];
    readonly ctime: string;
  };
  readonly labels: readonly string[];
  readonly components: readonly [LinearNode];
}

const memberStatus = wireInt.pipe(
  z.union([
    z.literal(MemberStatus.ALLOCATED),
    z.literal(MemberStatus.INSYNC),
    z.literal(MemberStatus.SPARE),
    z.literal(MemberStatus.FAULTY),
    z.literal(MemberStatus.NEEDSHRED),
  ]),
);
const labels = z.array(z.string());

export const extentNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.DEXT)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({
    pdskid: wireId,
    offset: wireInt.pipe(z.number().min(0)),
    ssvrid: wireId,
    iscsi_path: z.array(z.string()).min(1),
    generation: wireInt,
  }),
  labels,
  components: z.tuple([]),
});

export const mirrorNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.MIRROR)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({ version: wireInt }),
  labels,
  components: z.array(extentNode).min(1),
});

export const linearNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.LINEAR)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({}),
  labels,
  components: z.array(mirrorNode).min(1),
});

/** Parses the tree that an agent is given. `assoc` is empty until there are snapshots. */
export const volumeNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.LVOL)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({
    lvolname: z.string(),
    redundancy: wireInt,
    assoc: z.array(z.never()),
    ctime: z.string(),
  }),
  labels,
  components: z.tuple([linearNode]),
});

/** The tree as an agent parsed it. */
export type ParsedVolume = z.infer<typeof volumeNode>;
export type ParsedMirror = z.infer<typeof mirrorNode>;
export type ParsedExtent = z.infer<typeof extentNode>;
