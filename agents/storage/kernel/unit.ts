/**
 * What one epoch of a volume sees of one disk: a unit of the epoch's target, and the device behind it. In all that is
 * known to the kernel it goes by one name.
 */
export interface Unit {
  readonly lvolid: number;
  readonly epoch: number;
  readonly pdskid: number;
}

const hex8 = (id: number): string => id.toString(16).padStart(8, "0");

/** @param owner tells the agents of one machine apart, see `ownerTag` */
export function unitName(owner: string, { lvolid, epoch, pdskid }: Unit): string {
  return `${unitPrefix(owner)}${hex8(lvolid)}-${epoch}-${hex8(pdskid)}`;
}

/** Names of an owner's units begin so; other names may, too. */
export const unitPrefix = (owner: string): string => `vas-${owner}-`;

/** @returns undefined if it names no unit of this owner */
export function parseUnitName(owner: string, name: string): Unit | undefined {
  const match = /^vas-([0-9a-f]{8})-([0-9a-f]{8})-([0-9]{1,15})-([0-9a-f]{8})$/.exec(name);
  const [, found, lvolid = "", epoch, pdskid = ""] = match ?? [];
  if (found !== owner) return undefined;
  return { lvolid: Number.parseInt(lvolid, 16), epoch: Number(epoch), pdskid: Number.parseInt(pdskid, 16) };
}
