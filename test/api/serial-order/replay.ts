import { linearOf, type SnapshotNode, type VolumeNode } from "../../../shared/layout-tree.js";
import { MemberStatus } from "../../../shared/states.js";
import type { LoggedCall, ManagerLog } from "./manager-log.js";
import { judge, showInList } from "./model-answers.js";
import type { ModelState, ModelVolume } from "./model-state.js";
import { applyCall, applyStep, type OwnStep } from "./model-steps.js";
import type { MadeCall } from "./random-client.js";

/** A call with its line in the log: where in the serial order it stands. */
interface PlacedCall {
  readonly made: MadeCall;
  readonly logged: LoggedCall;
}

/**
 * Does everything once more, one commit after the other, in a model; each call is judged at its place.
 *
 * @returns the answers that are not the model's, in words.
 */
export function replay(
  state: ModelState,
  log: ManagerLog,
  made: ReadonlyMap<string, readonly MadeCall[]>,
): string[] {
  const placed = placeCalls(log, made);
  const changes = new Map(placed.map((call) => [call.logged.commit, call]));
  const looks = groupByPlace(placed);
  const subjects = new Map(log.commits.map(({ params }) => [params.jobid, params.lvolid as number]));
  const findings: string[] = [];
  const trees = new Map<number, string>();
  const waiting: PlacedCall[] = [];
  const look = (commit: number): void => {
    for (const call of looks.get(commit) ?? []) findings.push(...compareLook(state, call, trees));
  };
  look(0);
  for (const { commit, operation, params } of log.commits) {
    const call = changes.get(commit);
    if (call === undefined) applyStep(state, { operation, params } as unknown as OwnStep);
    else {
      findings.push(...applyChange(state, call, subjects));
      if (call.logged.job !== undefined) waiting.push(call);
    }
    look(commit);
  }
  for (const call of waiting) findings.push(...compareOutcome(state, call));
  return findings;
}

/** Calls that changed nothing, by the last commit that they saw. */
function groupByPlace(placed: readonly PlacedCall[]): Map<number, PlacedCall[]> {
  const groups = new Map<number, PlacedCall[]>();
  for (const call of placed) {
    if (call.logged.after === undefined) continue;
    const group = groups.get(call.logged.after);
    if (group === undefined) groups.set(call.logged.after, [call]);
    else group.push(call);
  }
  return groups;
}

/** A client makes one call at a time, so that its answers are in the log in the order of its calls. */
function placeCalls(log: ManagerLog, made: ReadonlyMap<string, readonly MadeCall[]>): PlacedCall[] {
  return [...made].flatMap(([address, calls]) => {
    const lines = log.calls.get(address) ?? [];
    if (lines.length !== calls.length)
      throw new Error(`${address} made ${calls.length} calls, the log has ${lines.length}`);
    return calls.map((call, index) => {
      const logged = lines[index] as LoggedCall;
      if (logged.method !== call.method)
        throw new Error(`${address}: the log has ${logged.method} for ${call.method}`);
      return { made: call, logged };
    });
  });
}

const describe = ({ made, logged }: PlacedCall): string =>
  `${made.method} ${JSON.stringify(made.params)} ${logged.commit === undefined ? `after ${logged.after}` : `commit ${logged.commit}`}`;

function say(call: PlacedCall, expected: unknown): string {
  const { answer } = call.made;
  return `${describe(call)}: expected ${JSON.stringify(expected)}, answered ${JSON.stringify(answer)}`;
}

/** @param subjects what jobs are about: a create that its job failed was answered no id */
function applyChange(state: ModelState, call: PlacedCall, subjects: ReadonlyMap<unknown, number>): string[] {
  const { made, logged } = call;
  const verdict = judge(state, made);
  const isRight = "done" in verdict && verdict.needsJob === (logged.job !== undefined);
  const findings = isRight ? [] : [say(call, verdict)];
  const id = "value" in made.answer ? Number(made.answer.value) : (subjects.get(logged.job) ?? 0);
  if (made.method.startsWith("create")) {
    if (id <= state.highestId) findings.push(say(call, "an id that was never there"));
    state.highestId = id;
  }
  applyCall(state, made, id, logged.job);
  return findings;
}

function compareOutcome(state: ModelState, call: PlacedCall): string[] {
  const outcome = state.outcomes.get(call.logged.job ?? 0);
  const { answer } = call.made;
  const errno = "errno" in answer ? answer.errno : "";
  return outcome === errno ? [] : [say(call, outcome ?? "a job that ended")];
}

function compareLook(state: ModelState, call: PlacedCall, trees: Map<number, string>): string[] {
  const { made } = call;
  const verdict = judge(state, made);
  if ("errno" in verdict) {
    return "errno" in made.answer && made.answer.errno === verdict.errno ? [] : [say(call, verdict)];
  }
  if (verdict.needsJob || "errno" in made.answer) return [say(call, verdict)];
  if (made.method === "listLogicalVolumes") return compareList(state, call);
  return made.method === "showLogicalVolume" ? compareTree(state, call, trees) : [];
}

function compareList(state: ModelState, call: PlacedCall): string[] {
  const { made } = call;
  const chosen = Object.keys(made.params).length === 0 ? state.listed() : [state.find(made.params)];
  const expected = chosen.flatMap((volume) => (volume === undefined ? [] : [showInList(state, volume)]));
  const rows = ("value" in made.answer ? made.answer.value : []) as Record<string, unknown>[];
  const shown = rows.map(({ ctime: _ctime, bind_error: _error, ...row }) => row);
  return same(shown, expected) ? [] : [say(call, expected)];
}

function compareTree(state: ModelState, call: PlacedCall, trees: Map<number, string>): string[] {
  const volume = state.find(call.made.params) as ModelVolume;
  const tree = (call.made.answer as { value: unknown }).value as VolumeNode | SnapshotNode;
  const mirrors = linearOf(tree).components;
  const status = volume.wasServed ? MemberStatus.INSYNC : MemberStatus.ALLOCATED;
  const wrong = mirrors.filter(
    ({ components }) =>
      new Set(components.map(({ lvolspec }) => lvolspec.ssvrid)).size !== volume.redundancy ||
      components.length !== volume.redundancy ||
      components.some(({ mirror_status }) => mirror_status !== status),
  );
  const capacity = mirrors.reduce((sum, mirror) => sum + mirror.capacity, 0);
  const assoc = volume.origin === undefined ? tree.lvolspec.assoc.map(({ lvolid }) => lvolid) : [];
  const snapshots = state.snapshotsOf(volume.id).filter(({ snapshot }) => snapshot !== "DELETING");
  const isRight =
    wrong.length === 0 &&
    capacity === volume.capacity &&
    tree.lvolid === volume.id &&
    same(
      assoc,
      snapshots.map(({ id }) => id).sort((a, b) => a - b),
    );
  const places = JSON.stringify(
    mirrors.map(({ lvolid, components }) => [
      lvolid,
      components.map((extent) => [extent.lvolid, extent.lvolspec.pdskid, extent.lvolspec.offset]),
    ]),
  );
  const before = trees.get(volume.id) ?? places;
  trees.set(volume.id, places);
  return isRight && before === places ? [] : [say(call, volume)];
}

const same = (one: unknown, other: unknown): boolean =>
  JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
