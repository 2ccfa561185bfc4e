import { type CrashAction, type CrashPoint, EVERY_CALL, showPoint } from "../../harness/crash-points.js";
import { seed } from "../../harness/random-data.js";
import { Random } from "../chaos/random.js";
import type { JobKind, Victim } from "./job-kind.js";

/** Set VAS_ALL_POINTS=1 to run all of them. By default: what follows, and VAS_SEED for another sample. */
const ALL = process.env.VAS_ALL_POINTS === "1";
/** Set VAS_POINT to run only those whose line contains it. */
const ONLY = process.env.VAS_POINT ?? "";
/** Of each agent's points. */
const AGENT_SAMPLE = 2;
/** Runs in which the manager is killed once more while it takes up what the killed one left. */
const AGAIN_SAMPLE = 2;

/** One run of a job, and what is done to it. */
export interface Run {
  readonly victim: Victim;
  readonly point: CrashPoint;
  readonly action: CrashAction;
  /** Where the process that takes the place of the killed one is killed, too; it need not come there. */
  readonly again?: CrashPoint;
}

export type Points = ReadonlyMap<Victim, readonly CrashPoint[]>;

export function showRun({ victim, point, action, again }: Run): string {
  const second = again === undefined ? "" : `, then ${showPoint(again)}`;
  return `${action} ${victim} ${showPoint(point)}${second}`;
}

/**
 * All runs of a kind, and whether each is run this time: the manager's kills and lost answers, the agents' kills, each
 * call delivered twice, and second kills.
 */
export function planRuns(kind: JobKind, points: Points): Map<Run, boolean> {
  const random = new Random(seed, `crash points of ${kind.name}`);
  const [managers, heads, storages] = [
    kills("manager", points),
    kills("head", points),
    kills("storage", points),
  ];
  const single = [...managers, ...drops(points)];
  const twice: Run = { victim: "manager", point: EVERY_CALL, action: "twice" };
  const again = managers.flatMap((run, index): Run[] => {
    const next = random.pick(managers.slice(index));
    return next === undefined ? [] : [{ ...run, again: next.point }];
  });

  const repeated = repeatedPoints(points);
  const isOther = ({ point }: Run): boolean => !repeated.has(point);
  const own = ownPoints(kind, points);
  const ownRuns = single.filter((run) => isOther(run) && own.has(run.point));
  const chosen = new Set([
    ...draw(ownRuns, kind.managerSample ?? ownRuns.length, random),
    twice,
    ...draw(again, kind.managerSample === undefined ? AGAIN_SAMPLE : 1, random),
    ...draw(heads.filter(isOther), AGENT_SAMPLE, random),
    ...draw(storages.filter(isOther), AGENT_SAMPLE, random),
  ]);
  const isMeant = (run: Run): boolean => (ONLY === "" ? ALL || chosen.has(run) : showRun(run).includes(ONLY));
  const all = [...single, twice, ...again, ...heads, ...storages];
  return new Map(all.map((run) => [run, isMeant(run)]));
}

function kills(victim: Victim, points: Points): Run[] {
  return (points.get(victim) ?? []).map((point) => ({ victim, point, action: "kill" }));
}

/** The answer that the manager has just got is lost: it does not know if its call was carried out. */
function drops(points: Points): Run[] {
  return kills("manager", points)
    .filter(({ point }) => point.kind.startsWith("after answer of "))
    .map((run) => ({ ...run, action: "drop" }));
}

/** Between the end of one step and the beginning of the next nothing happens: the second point is the first once more. */
function repeatedPoints(points: Points): Set<CrashPoint> {
  const isRepeated = (point: CrashPoint, before: CrashPoint | undefined): boolean =>
    point.kind.startsWith("before ") && before?.kind.startsWith("after ") === true;
  return new Set(
    [...points.values()].flatMap((list) => list.filter((point, index) => isRepeated(point, list[index - 1]))),
  );
}

/** The manager's points that no other kind has in the same state. */
function ownPoints(kind: JobKind, points: Points): Set<CrashPoint> {
  const list = points.get("manager") ?? [];
  if (kind.firstOwnPoint === undefined) return new Set(list);
  const first = list.findIndex((point) => point.kind === kind.firstOwnPoint);
  if (first < 0) throw new Error(`${kind.name} has no point "${kind.firstOwnPoint}"`);
  return new Set(list.slice(first));
}

/** So many of these, in their order. */
function draw(runs: readonly Run[], count: number, random: Random): Run[] {
  const left = [...runs];
  while (left.length > count) left.splice(random.between(0, left.length - 1), 1);
  return left;
}
