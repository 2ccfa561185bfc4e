import { showDisk, showVolume } from "../../shared/ids.js";
import type { ExtentNode, MirrorNode, VolumeNode } from "../../shared/layout-tree.js";
import { MemberStatus, VolumeType } from "../../shared/states.js";
import { type MemberRow, membersOfVolume } from "../store/extents.js";
import type { Tx } from "../store/open-store.js";
import { addressesByServer } from "../store/servers.js";
import { type MirrorRow, mirrorsOfVolume, type VolumeRow } from "../store/volumes.js";

/** `nbd://ADDR:PORT/pdsk-%08x`, one per data address of the disk's server. */
export function exportPaths(addresses: readonly string[], port: number, pdskid: number): string[] {
  return addresses.map((address) => {
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
      iscsi_path: exportPaths(addresses, member.nbd_port, member.pdskid),
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

/** `2026-11-21 07:25:40`, UTC: at most 20 characters, as the API says. */
export function showTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 19).replace("T", " ");
}

/** The layout tree of a volume, `lvolstruct` of the API. */
export async function readLayoutTree(tx: Tx, volume: VolumeRow): Promise<VolumeNode> {
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
  const status = worstStatus(mirrors);
  return {
    lvolid: volume.lvolid,
    lvoltype: VolumeType.LVOL,
    capacity: volume.capacity,
    mirror_status: status,
    lvolspec: {
      lvolname: volume.lvolname,
      redundancy: volume.redundancy,
      assoc: [],
      ctime: showTime(volume.ctime),
    },
    labels: [volume.lvolname, showVolume(volume.lvolid)],
    components: [
      {
        lvolid: volume.linearid,
        lvoltype: VolumeType.LINEAR,
        capacity: volume.capacity,
        mirror_status: status,
        lvolspec: {},
        labels: [],
        components: mirrors,
      },
    ],
  };
}
