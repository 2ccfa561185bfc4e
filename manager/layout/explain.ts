import { showStorageServer } from "../../shared/ids.js";
import type { Candidate, Wish } from "./candidates.js";
import { filters } from "./filters.js";
import { groupBy } from "./group-by.js";

/** Servers named for each reason, and reasons given: an explanation stays below 1,000 characters. */
const NAMED_SERVERS = 4;
const NAMED_REASONS = 8;

/**
 * Says of each storage server whether it has room for the wish and if not, why: what stands against the disk of it that
 * came closest. `has room: ssvr-00000001; server OFFLINE: ssvr-00000002, ssvr-00000003`.
 */
export function explain(candidates: readonly Candidate[], wish: Wish): string {
  if (candidates.length === 0) return "no disk is registered";
  const servers = [...groupBy(candidates, (disk) => disk.ssvrid)].sort(([a], [b]) => a - b);
  const verdicts = servers.map(([ssvrid, disks]) => ({ ssvrid, ...judge(disks, wish) }));
  // Those that came closest first: they are where the least is missing.
  const groups = [
    ...groupBy(
      verdicts.toSorted((a, b) => b.passed - a.passed),
      (verdict) => verdict.reason,
    ),
  ];
  const parts = groups.map(
    ([reason, members]) => `${reason}: ${nameSome(members.map((member) => member.ssvrid))}`,
  );
  const omitted = parts.length - NAMED_REASONS;
  return parts.slice(0, NAMED_REASONS).join("; ") + (omitted > 0 ? `; and ${omitted} more reasons` : "");
}

/** How many storage servers have room for the wish. */
export function countServersWithRoom(candidates: readonly Candidate[], wish: Wish): number {
  const withRoom = candidates.filter((disk) => filters.every((filter) => filter.keeps(disk, wish)));
  return new Set(withRoom.map((disk) => disk.ssvrid)).size;
}

interface Verdict {
  /** Filters that its best disk passed. */
  readonly passed: number;
  readonly reason: string;
}

function judge(disks: readonly Candidate[], wish: Wish): Verdict {
  let best: Verdict = { passed: -1, reason: "" };
  for (const disk of disks) {
    const failed = filters.findIndex((filter) => !filter.keeps(disk, wish));
    const passed = failed === -1 ? filters.length : failed;
    if (passed > best.passed) best = { passed, reason: filters[failed]?.complaint(disk, wish) ?? "has room" };
  }
  return best;
}

function nameSome(ssvrids: readonly number[]): string {
  const named = ssvrids.slice(0, NAMED_SERVERS).map(showStorageServer).join(", ");
  const omitted = ssvrids.length - NAMED_SERVERS;
  return omitted > 0 ? `${named} and ${omitted} more` : named;
}
