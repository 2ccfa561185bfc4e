import { createHash } from "node:crypto";
import { VasError } from "./errors.js";
import { MIB } from "./units.js";

/**
 * The names by which head servers find extents over iSCSI, made in one place.
 *
 * A storage server has a name of its own, and for each volume that it lets in a target named after it and the volume's
 * epoch. In the target each disk is the unit of its own id: the disk's whole address space behind `UNIT_MARGIN`, of which
 * all but the granted extents answers errors.
 */

/** Zeros before and behind a disk's space in its unit: who looks for partitions or signatures there finds none. */
export const UNIT_MARGIN = MIB;

/** What LIO calls the product of our units: udev rules tell them by it. */
export const UNIT_PRODUCT = "VASTSKY";

const hex8 = (id: number): string => id.toString(16).padStart(8, "0");

/** Eight hex digits that tell agents of one machine apart, and what an agent made from what others did. */
export function ownerTag(stateFolder: string): string {
  return digest(stateFolder);
}

/**
 * The name of a storage server until its machine is started again. Then it is another one: no session of before may go on as if
 * nothing had been lost (rule R5).
 */
export function serverName(iqnPrefix: string, stateFolder: string, bootId: string): string {
  const owner = ownerTag(stateFolder);
  return `${iqnPrefix.toLowerCase()}:${owner}-${digest(`${owner} ${bootId}`)}`;
}

/** The target by which a storage server lets one epoch of a volume in. */
export function targetName(server: string, lvolid: number, epoch: number): string {
  return `${server}.lvol-${hex8(lvolid)}.${epoch}`;
}

/** A disk's unit in such a target, to be known again whatever path it is seen by; of hex digits only, as LIO wants it. */
export function unitSerial(lvolid: number, epoch: number, pdskid: number): string {
  return `${hex8(lvolid)}${hex8(epoch)}${hex8(pdskid)}`;
}

/** Where heads reach a disk, in the form of udev's names. The target of a volume is not in it: `targetName` gives it. */
export interface UnitPath {
  readonly address: string;
  readonly port: number;
  readonly server: string;
  readonly pdskid: number;
}

export function showUnitPath({ address, port, server, pdskid }: UnitPath): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `/dev/disk/by-path/ip-${host}:${port}-iscsi-${server}-lun-${showLun(pdskid)}`;
}

/** @throws VasError EINVAL if the text is no such path */
export function parseUnitPath(text: string): UnitPath {
  const match = /^\/dev\/disk\/by-path\/ip-(.+):(\d+)-iscsi-(\S+)-lun-(\d+|0x[0-9a-f]{16})$/.exec(text);
  const [, host = "", port, server = "", lun = ""] = match ?? [];
  if (match === null) throw new VasError("EINVAL", `"${text}" is not the path of an iSCSI unit`);
  const address = host.startsWith("[") ? host.slice(1, -1) : host;
  return { address, port: Number(port), server, pdskid: parseLun(lun) };
}

const hex4 = (number: number): string => number.toString(16).padStart(4, "0");

/** As udev does: a unit number of more than eight bits by its 16-bit parts, the lowest first. */
function showLun(lun: number): string {
  return lun < 256 ? String(lun) : `0x${hex4(lun & 0xffff)}${hex4(lun >>> 16)}00000000`;
}

function parseLun(text: string): number {
  if (!text.startsWith("0x")) return Number(text);
  return Number.parseInt(text.slice(6, 10) + text.slice(2, 6), 16);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
