import { MAX_ID, showDisk } from "../../../shared/ids.js";

/** Who asks for a disk: `pdsk-%08x/lvol-%08x/<epoch>/<incarnation>`. */
export interface Claim {
  readonly lvolid: number;
  readonly epoch: number;
  readonly incarnation: number;
}

export type ParsedName = Claim | "other disk" | "no claim";

/**
 * @returns "no claim" if it names the disk without a proper volume and epoch: nobody may use a disk as a whole
 */
export function parseExportName(name: string, pdskid: number): ParsedName {
  const [disk, ...claim] = name.split("/");
  if (disk !== showDisk(pdskid)) return "other disk";
  const match = /^lvol-([0-9a-f]{8})\/([0-9]{1,15})(?:\/([0-9]{1,15}))?$/.exec(claim.join("/"));
  if (match === null) return "no claim";
  const lvolid = Number.parseInt(match[1] ?? "", 16);
  if (lvolid < 1 || lvolid > MAX_ID) return "no claim";
  return { lvolid, epoch: Number(match[2]), incarnation: Number(match[3] ?? 0) };
}
