import { z } from "zod";
import { MemberStatus, VolumeType } from "./states.js";
import { wireId, wireInt } from "./wire-types.js";

/**
 * The layout tree of a volume, `lvolstruct` on the wire: a LVOL over a LINEAR over MIRRORs over disk extents (DEXT), with
 * a SNAPSHOT-ORIGIN above the LINEAR if it has snapshots; a snapshot is a LVOL over a SNAPSHOT over a LINEAR of its own.
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

/** The layer that keeps what its snapshots need before a write goes to the volume. Only volumes with snapshots have one. */
export interface SnapshotOriginNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.SNAPSHOT_ORIGIN;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: Record<string, never>;
  readonly labels: readonly string[];
  readonly components: readonly [LinearNode];
}

export interface VolumeNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.LVOL;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: {
    readonly lvolname: string;
    readonly redundancy: number;
    /** The volume's snapshots, by id. */
    readonly assoc: readonly SnapshotNode[];
    readonly ctime: string;
  };
  readonly labels: readonly string[];
  readonly components: readonly [LinearNode | SnapshotOriginNode];
}

/** The layer that reads from the copy-on-write space what is there, and the rest from its origin. */
export interface SnapshotLayerNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.SNAPSHOT;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: {
    /** Id of the SNAPSHOT-ORIGIN node of the volume it was taken of. */
    readonly origin_lvolid: number;
  };
  readonly labels: readonly string[];
  readonly components: readonly [LinearNode];
}

/** A snapshot: its `capacity` is that of its copy-on-write space, which is larger than its origin. */
export interface SnapshotNode {
  readonly lvolid: number;
  readonly lvoltype: typeof VolumeType.LVOL;
  readonly capacity: number;
  readonly mirror_status: MemberStatus;
  readonly lvolspec: {
    readonly lvolname: string;
    readonly redundancy: number;
    readonly assoc: readonly never[];
    readonly ctime: string;
  };
  readonly labels: readonly string[];
  readonly components: readonly [SnapshotLayerNode];
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

const snapshotOriginNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.SNAPSHOT_ORIGIN)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({}),
  labels,
  components: z.tuple([linearNode]),
});

const snapshotLayerNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.SNAPSHOT)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({ origin_lvolid: wireId }),
  labels,
  components: z.tuple([linearNode]),
});

export const snapshotNode = z.object({
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
  components: z.tuple([snapshotLayerNode]),
});

/** Parses the tree that an agent is given. */
export const volumeNode = z.object({
  lvolid: wireId,
  lvoltype: wireInt.pipe(z.literal(VolumeType.LVOL)),
  capacity: wireId,
  mirror_status: memberStatus,
  lvolspec: z.object({
    lvolname: z.string(),
    redundancy: wireInt,
    assoc: z.array(snapshotNode),
    ctime: z.string(),
  }),
  labels,
  components: z.tuple([z.union([linearNode, snapshotOriginNode])]),
});

/** The tree as an agent parsed it. */
export type ParsedVolume = z.infer<typeof volumeNode>;
export type ParsedMirror = z.infer<typeof mirrorNode>;
export type ParsedExtent = z.infer<typeof extentNode>;
export type ParsedLinear = z.infer<typeof linearNode>;
export type ParsedSnapshot = z.infer<typeof snapshotNode>;

/** The linear of a volume, or of the copy-on-write space of a snapshot, below whatever layer is above it. */
export function linearOf(volume: ParsedVolume | ParsedSnapshot): ParsedLinear;
export function linearOf(volume: VolumeNode | SnapshotNode): LinearNode;
export function linearOf(volume: VolumeNode | SnapshotNode): LinearNode {
  const [top] = volume.components;
  return top.lvoltype === VolumeType.LINEAR ? top : top.components[0];
}

/** The mirrors of a volume and of the copy-on-write space of its snapshots: all that an attachment of it reads and writes. */
export function allMirrorsOf(volume: ParsedVolume): ParsedMirror[];
export function allMirrorsOf(volume: VolumeNode): MirrorNode[];
export function allMirrorsOf(volume: VolumeNode): MirrorNode[] {
  return [volume, ...volume.lvolspec.assoc].flatMap((node) => linearOf(node).components);
}

/** The same volume with other mirrors, of its own and of its snapshots. `change` is called for each. */
export function mapMirrors(
  volume: ParsedVolume,
  change: (mirror: ParsedMirror) => ParsedMirror,
): ParsedVolume {
  const linear = (node: ParsedLinear): ParsedLinear => ({ ...node, components: node.components.map(change) });
  const [top] = volume.components;
  const assoc = volume.lvolspec.assoc.map((snapshot): ParsedSnapshot => {
    const [layer] = snapshot.components;
    return { ...snapshot, components: [{ ...layer, components: [linear(layer.components[0])] }] };
  });
  return {
    ...volume,
    lvolspec: { ...volume.lvolspec, assoc },
    components: [
      top.lvoltype === VolumeType.LINEAR ? linear(top) : { ...top, components: [linear(top.components[0])] },
    ],
  };
}
