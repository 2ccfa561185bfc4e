import { showDisk, showVolume } from "../../shared/ids.js";
import { showUnitPath } from "../../shared/iscsi-names.js";
import type {
  ExtentNode,
  LinearNode,
  MirrorNode,
  SnapshotNode,
  VolumeNode,
} from "../../shared/layout-tree.js";
import { MemberStatus, VolumeType } from "../../shared/states.js";
import { type MemberRow, membersOfVolume } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { addressesByServer } from "../store/servers.js";
import { type MirrorRow, mirrorsOfVolume, snapshotsOf, type VolumeRow } from "../store/volumes.js";

/**
 * Where heads reach a disk, one per data address of its server: `nbd://ADDR:PORT/pdsk-%08x`, or the path of an iSCSI unit, if
 * it is exported so.
 */
export function exportPaths(
  addresses: readonly string[],
  { pdskid, nbd_port: port, iscsi_name: server }: Pick<MemberRow, "pdskid" | "nbd_port" | "iscsi_name">,
): string[] {
  return addresses.map((address) => {
    if (server !== "") return showUnitPath({ address, port, server, pdskid });
    const host = address.includes(":") ? `[${address}]` : address;
    return `nbd://${host}:${port}/${showDisk(pdskid)}`;
  });
}

export function extentNode(member: MemberRow, addresses: readonly string[]): ExtentNode {
  return {
    lvolid: member.dextid,
    lvoltype: VolumeType.DEXT,
    capacity: member.length,
    mirror_status: member.status,
    lvolspec: {
      pdskid: member.pdskid,
      offset: member.offset,
      ssvrid: member.ssvrid,
      iscsi_path: exportPaths(addresses, member),
      generation: member.generation,
    },
    labels: [],
    components: [],
  };
}

function mirrorNode(mirror: MirrorRow, members: readonly ExtentNode[]): MirrorNode {
  return {
    lvolid: mirror.mirrorid,
    lvoltype: VolumeType.MIRROR,
    capacity: mirror.length,
    mirror_status: worstStatus(members),
    lvolspec: { version: mirror.version },
    labels: [],
    components: members,
  };
}

/** A mirror shows ALLOCATED before its first attach, SPARE while a member lacks content, else INSYNC. */
function worstStatus(nodes: readonly { readonly mirror_status: MemberStatus }[]): MemberStatus {
  if (
    nodes.some(
      (node) => node.mirror_status === MemberStatus.SPARE || node.mirror_status === MemberStatus.FAULTY,
    )
  ) {
    return MemberStatus.SPARE;
  }
  return nodes.every((node) => node.mirror_status === MemberStatus.ALLOCATED)
    ? MemberStatus.ALLOCATED
    : MemberStatus.INSYNC;
}

/** `2026-11-21T07:25:40`, UTC: at most 20 characters, as the API says, in the form that lvol_list always printed. */
export function showTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 19);
}

/** The linear of a volume, or of the copy-on-write space of a snapshot. */
async function readLinear(tx: Tx, volume: VolumeRow): Promise<LinearNode> {
  const addresses = await addressesByServer(tx, "storage");
  const byMirror = new Map<number, ExtentNode[]>();
  for (const member of await membersOfVolume(tx, volume.lvolid)) {
    const node = extentNode(member, addresses.get(member.ssvrid) ?? []);
    const list = byMirror.get(member.mirrorid);
    if (list === undefined) byMirror.set(member.mirrorid, [node]);
    else list.push(node);
  }
  const mirrors = (await mirrorsOfVolume(tx, volume.lvolid)).map((mirror) =>
    mirrorNode(mirror, byMirror.get(mirror.mirrorid) ?? []),
  );
  return {
    lvolid: volume.linearid,
    lvoltype: VolumeType.LINEAR,
    capacity: volume.capacity,
    mirror_status: worstStatus(mirrors),
    lvolspec: {},
    labels: [],
    components: mirrors,
  };
}

/** What a volume shows of itself above its layers. */
function describe({ lvolid, lvolname, capacity, redundancy, ctime }: VolumeRow, below: LinearNode) {
  return {
    lvolid,
    lvoltype: VolumeType.LVOL,
    capacity,
    mirror_status: below.mirror_status,
    lvolspec: { lvolname, redundancy, ctime: showTime(ctime) },
    labels: [lvolname, showVolume(lvolid)],
  };
}

/** A layer over a linear. */
function layer(lvolid: number | null, linear: LinearNode) {
  const { capacity, mirror_status } = linear;
  return { lvolid: lvolid ?? 0, capacity, mirror_status, labels: [], components: [linear] as const };
}

/**
 * The layout tree of a volume that is no snapshot, `lvolstruct` of the API.
 *
 * @param isShown which of its snapshots belong to it.
 */
export async function readLayoutTree(
  tx: Tx,
  volume: VolumeRow,
  isShown: (snapshot: VolumeRow) => boolean,
): Promise<VolumeNode> {
  const linear = await readLinear(tx, volume);
  const snapshots = await snapshotsOf(tx, volume.lvolid);
  const assoc: SnapshotNode[] = [];
  for (const snapshot of snapshots.filter(isShown)) assoc.push(await readSnapshotTree(tx, snapshot, volume));
  const { lvolspec, ...rest } = describe(volume, linear);
  const origin = { ...layer(volume.layerid, linear), lvoltype: VolumeType.SNAPSHOT_ORIGIN, lvolspec: {} };
  return { ...rest, lvolspec: { ...lvolspec, assoc }, components: [snapshots.length > 0 ? origin : linear] };
}

/** The layout tree of a snapshot. */
export async function readSnapshotTree(
  tx: Tx,
  snapshot: VolumeRow,
  origin: VolumeRow,
): Promise<SnapshotNode> {
  const linear = await readLinear(tx, snapshot);
  const { lvolspec, ...rest } = describe(snapshot, linear);
  const above = {
    ...layer(snapshot.layerid, linear),
    lvoltype: VolumeType.SNAPSHOT,
    lvolspec: { origin_lvolid: origin.layerid ?? 0 },
  };
  return { ...rest, lvolspec: { ...lvolspec, assoc: [] }, components: [above] };
}
