import { join } from "node:path";
import { BACKSTORES, namesIn, TARGETS } from "./configfs.js";
import { parseUnitName, type Unit } from "./unit.js";

/** A target as it is found in the kernel; it may be half made, or half removed. */
export interface FoundTarget {
  readonly name: string;
  readonly lvolid: number;
  readonly epoch: number;
  /** The disks that it has units of. */
  readonly disks: readonly number[];
}

/** The targets of an owner, of this boot and of others, and whatever the prefix of their names. */
export async function findTargets(owner: string): Promise<FoundTarget[]> {
  const names = (await namesIn(TARGETS)) ?? [];
  const found = names.flatMap((name) => {
    const parsed = parseTargetName(owner, name);
    return parsed === undefined ? [] : [{ name, ...parsed }];
  });
  return Promise.all(found.map(async (target) => ({ ...target, disks: await disksIn(target.name) })));
}

/** None if there is no such target any more. */
async function disksIn(target: string): Promise<number[]> {
  const names = (await namesIn(join(targetFolder(target), "lun"))) ?? [];
  return names.filter((name) => /^lun_\d+$/.test(name)).map((name) => Number(name.slice("lun_".length)));
}

/** The units of an owner whose backstores are there. */
export async function findBackstores(owner: string): Promise<Unit[]> {
  const names = (await namesIn(BACKSTORES)) ?? [];
  return names.map((name) => parseUnitName(owner, name)).filter((unit) => unit !== undefined);
}

/** What a target consists of: our targets have one portal group. */
export const targetFolder = (target: string): string => join(TARGETS, target, "tpgt_1");

export const lunFolder = (target: string, pdskid: number): string =>
  join(targetFolder(target), "lun", `lun_${pdskid}`);

/** @returns undefined if it is no target of this owner */
export function parseTargetName(
  owner: string,
  name: string,
): Pick<FoundTarget, "lvolid" | "epoch"> | undefined {
  const match = /:([0-9a-f]{8})-[0-9a-f]{8}\.lvol-([0-9a-f]{8})\.([0-9]{1,15})$/.exec(name);
  const [, found, lvolid = "", epoch] = match ?? [];
  return found === owner ? { lvolid: Number.parseInt(lvolid, 16), epoch: Number(epoch) } : undefined;
}
