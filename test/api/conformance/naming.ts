import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import type { RefusedRow } from "./refusals.js";

export interface NamedVolume {
  readonly lvolid: number;
  readonly lvolname: string;
}
/** The members that name a volume: `lvolid` and `lvolname`, or those of an origin. */
export type Prefix = "" | "origin_";

const NOBODY = 0x7fff_fff0;

/** Every way to name a volume, with words for it. With both the id counts; an id of 0 is none. */
export function waysToName(
  { lvolid, lvolname }: NamedVolume,
  other: string,
  prefix: Prefix = "",
): (readonly [way: string, members: XmlRpcStruct])[] {
  const by = (id: number | undefined, name?: string): XmlRpcStruct => ({
    [`${prefix}lvolid`]: id,
    [`${prefix}lvolname`]: name,
  });
  return [
    ["by id", by(lvolid)],
    ["by name", by(undefined, lvolname)],
    ["by id, beside the name of another one", by(lvolid, other)],
    ["by id, beside what can't be a name", by(lvolid, "no / name")],
    ["by id, beside an empty name", by(lvolid, "")],
    ["by name, beside the id 0", by(0, lvolname)],
  ];
}

/** Calls that name no volume, each refused. @param known a volume that is there */
export function namesOfNone(known: string, more: XmlRpcStruct = {}, prefix: Prefix = ""): RefusedRow[] {
  const id = `${prefix}lvolid`;
  return [
    [{ ...more }, "EINVAL", id],
    [{ ...more, [id]: 0 }, "EINVAL", id],
    ...namesOfStrangers(known, more, prefix),
  ];
}

/** The same without those that name none at all, which mean all volumes to a list. */
export function namesOfStrangers(known: string, more: XmlRpcStruct = {}, prefix: Prefix = ""): RefusedRow[] {
  const [id, name] = [`${prefix}lvolid`, `${prefix}lvolname`];
  return [
    [{ ...more, [name]: 5 }, "EINVAL", name],
    [{ ...more, [id]: NOBODY }, "ENOENT", "lvol-7ffffff0"],
    [{ ...more, [id]: NOBODY, [name]: known }, "ENOENT", "lvol-7ffffff0"],
    [{ ...more, [id]: -1 }, "ENOENT", "volume"],
    [{ ...more, [name]: "nobody" }, "ENOENT", "nobody"],
    [{ ...more, [name]: known.toUpperCase() }, "ENOENT", known.toUpperCase()],
    [{ ...more, [name]: "" }, "ENOENT", "volume"],
  ];
}
