import { Priority, priorityName } from "../../shared/states.js";
import type { Candidate, Wish } from "./candidates.js";

/** A reason for which a disk can't take a member, and its words for it. */
export interface Filter {
  readonly keeps: (candidate: Candidate, wish: Wish) => boolean;
  /** As the explanation of ENOSPC groups candidates. */
  readonly complaint: (candidate: Candidate, wish: Wish) => string;
}

export const serverIsHigh = {
  keeps: (candidate) => candidate.serverPriority === Priority.HIGH,
  complaint: (candidate) => `server ${priorityName(candidate.serverPriority)}`,
} satisfies Filter;

export const diskIsHigh = {
  keeps: (candidate) => candidate.priority === Priority.HIGH,
  complaint: (candidate) => `disks ${priorityName(candidate.priority)}`,
} satisfies Filter;

export const serverIsUnused = {
  keeps: (candidate, wish) => !wish.usedServers.has(candidate.ssvrid),
  complaint: () => "has a member already",
} satisfies Filter;

export const diskIsUnused = {
  keeps: (candidate, wish) => !wish.usedDisks.has(candidate.pdskid),
  complaint: () => "disks hold a copy that is out of use",
} satisfies Filter;

export const hasFreeRun = {
  keeps: (candidate, wish) => candidate.free.some((run) => run.length >= wish.length),
  complaint: (_, wish) => `no free run of ${wish.length} GB`,
} satisfies Filter;

/** A preference: dropped for a mirror when no zone that it does not use yet has room. */
export const zoneIsUnused = {
  keeps: (candidate, wish) => !wish.usedZones.has(candidate.zone),
  complaint: (candidate) => `zone "${candidate.zone}" has a member already`,
} satisfies Filter;

/** Whether the disk can be given extents at all, whatever they are for. */
export const isUsable = (candidate: Candidate): boolean =>
  serverIsHigh.keeps(candidate) && diskIsHigh.keeps(candidate);

/** What every member must satisfy, in the order in which a refusal is explained. */
export const filters: readonly Filter[] = [
  serverIsHigh,
  diskIsHigh,
  serverIsUnused,
  diskIsUnused,
  hasFreeRun,
];
