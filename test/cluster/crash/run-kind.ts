import { expect, onTestFinished } from "vitest";
import { TestCluster } from "../../harness/cluster.js";
import { type CrashPoint, showPoint } from "../../harness/crash-points.js";
import { seed } from "../../harness/random-data.js";
import { waitUntil } from "../../harness/wait-until.js";
import { CrashWorld } from "./crash-world.js";
import type { JobKind, Victim } from "./job-kind.js";
import { planRuns, type Run, showRun } from "./plan-runs.js";

/** A point that a run did not come to, because things happened in another order, is tried so often. */
const TRIES = 2;
const REACHED_MS = 300_000;

interface Outcome {
  readonly run: Run;
  readonly end: "done" | "undone" | "not reached" | "skipped" | "WRONG";
  readonly seconds: number;
}

/** Runs a job once undisturbed, then once for each of its points; all must end as the first run did. */
export async function runKind(kind: JobKind): Promise<void> {
  const world = await startWorld(kind);
  const { cluster } = world;
  await kind.begin(world);
  const { points, end } = await undisturbed(kind, world);
  const outcomes: Outcome[] = [];
  const wrong: string[] = [];
  for (const [run, isChosen] of planRuns(kind, points)) {
    if (!isChosen) {
      outcomes.push({ run, end: "skipped", seconds: 0 });
      continue;
    }
    const started = performance.now();
    const result = await disturbed(kind, world, run, end).catch((error: unknown) => {
      wrong.push(`${showRun(run)}: ${describe(error)}`);
      process.stderr.write(
        `${kind.name}: ${wrong.at(-1)}\n${wrong.length === 1 ? cluster.logTails() : ""}\n`,
      );
      return "WRONG" as const;
    });
    outcomes.push({ run, end: result, seconds: (performance.now() - started) / 1000 });
    for (const probe of Object.values(world.probes)) probe.disarm();
  }
  console.log(report(kind, points, outcomes));
  expect(wrong).toEqual([]);
  await world.makeWholeAndUnbound();
  expect(await world.differences()).toEqual([]);
  const missed = outcomes.filter((outcome) => outcome.end === "not reached").length;
  expect(missed, "points that were not reached").toBeLessThanOrEqual(Math.ceil(outcomes.length / 10));
}

/** Starts the cluster of a kind; it is gone when the test ends. */
export async function startWorld(kind: JobKind): Promise<CrashWorld> {
  const cluster = await TestCluster.create(kind.cluster);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") process.stderr.write(`${task.name} (VAS_SEED=${seed})\n`);
    await cluster.destroy();
  });
  const world = new CrashWorld(cluster);
  await cluster.start();
  return world;
}

/** @returns the points of each process, in the order in which they are passed, and the end state. */
async function undisturbed(kind: JobKind, world: CrashWorld) {
  // The first run makes what lasts, such as the file of a volume's closed epochs.
  for (const isListed of [false, true]) {
    await kind.prepare(world);
    await withObstacle(kind, world, async () => {
      if (isListed) for (const victim of kind.victims) world.probes[victim].arm();
      await kind.act(world);
      await world.settle();
    });
    if (isListed) for (const victim of kind.victims) world.probes[victim].disarm();
    expect(await world.accessFindings(false), "what is granted").toEqual([]);
    expect(await kind.finish(world)).toBe("done");
    await world.settle();
    expect(await world.cluster.check()).toEqual([]);
    expect(await world.accessFindings(false), "what is granted").toEqual([]);
  }
  const passed = kind.victims.map((victim): [Victim, CrashPoint[]] => [
    victim,
    world.probes[victim].passed(),
  ]);
  return { points: new Map(passed), end: await world.state() };
}

/** An obstacle is there during the job and not afterwards: its server is then started again. */
async function withObstacle(kind: JobKind, world: CrashWorld, work: () => Promise<void>): Promise<void> {
  if (kind.obstacle === undefined) return work();
  const { victim, ...at } = kind.obstacle;
  const { server } = world.probes[victim];
  world.probes[victim].arm(at);
  try {
    await work();
  } finally {
    world.probes[victim].disarm();
    await server.killControl();
    server.up();
    await server.waitUntilAnswers();
  }
}

async function disturbed(kind: JobKind, world: CrashWorld, run: Run, end: object): Promise<Outcome["end"]> {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    await kind.prepare(world);
    let wasHit = false;
    await withObstacle(kind, world, async () => {
      wasHit = await stopAt(kind, world, run);
      await world.settle();
    });
    const mayBeLate = kind.isConfirmed && (run.victim === "storage" || run.action === "drop");
    expect(await world.accessFindings(mayBeLate), "what is granted").toEqual([]);
    const result = await kind.finish(world);
    await world.settle();
    expect(await world.cluster.check(), "vas check").toEqual([]);
    expect(await world.accessFindings(mayBeLate), "what is granted").toEqual([]);
    expect(await world.state(), "the end state").toEqual(end);
    if (run.action === "twice") expect(result).toBe("done");
    if (wasHit) return result;
  }
  return "not reached";
}

/** Begins the job, and disturbs it at the point. @returns false if it did not come to that point. */
async function stopAt(kind: JobKind, world: CrashWorld, run: Run): Promise<boolean> {
  const { victim, point, action, again } = run;
  const probe = world.probes[victim];
  probe.arm({ point, action });
  let isAnswered = false;
  const answer = (): void => {
    isAnswered = true;
  };
  const acting = kind.act(world).then(answer, answer);
  const isOver = async (): Promise<boolean> => isAnswered && (await world.isQuiet());
  const isKilled = (): boolean => action === "kill" && probe.wasHit;
  await waitUntil(
    `${victim} comes to ${showPoint(point)}, or the job ends`,
    async () => isKilled() || (await isOver()),
    REACHED_MS,
  );
  const { wasHit } = probe;
  probe.disarm();
  if (isKilled()) {
    await waitUntil("the process is dead", () => probe.server.control().length === 0);
    if (again !== undefined) await killAgain(world, victim, again, isOver);
    await startAgain(world, victim);
  }
  await acting;
  return wasHit;
}

/** Starts the process, and has it killed at a point, if it comes there before all is over. */
async function killAgain(
  world: CrashWorld,
  victim: Victim,
  point: CrashPoint,
  isOver: () => Promise<boolean>,
): Promise<void> {
  const probe = world.probes[victim];
  probe.arm({ point, action: "kill" });
  probe.server.up();
  await waitUntil(
    "the process is killed again, or all is over",
    async () => probe.wasHit || (await isOver()),
    REACHED_MS,
  );
  probe.disarm();
  await probe.server.killControl();
}

async function startAgain(world: CrashWorld, victim: Victim): Promise<void> {
  const { server } = world.probes[victim];
  server.up();
  if (victim === "manager") await waitUntil("the manager answers", () => world.cluster.status());
  else await server.waitUntilAnswers();
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { actual, expected } = error as { actual?: unknown; expected?: unknown };
  const difference = actual === undefined ? "" : `\n  is     ${show(actual)}\n  not    ${show(expected)}`;
  return `${error.message}${difference}${error.cause === undefined ? "" : `\n  because ${describe(error.cause)}`}`;
}

const show = (value: unknown): string =>
  typeof value === "string" ? value.replaceAll("\n", " ") : JSON.stringify(value);

function report(
  kind: JobKind,
  points: ReadonlyMap<Victim, readonly CrashPoint[]>,
  outcomes: readonly Outcome[],
): string {
  const counts = kind.victims.map((victim) => `${victim} ${points.get(victim)?.length ?? 0} points`);
  const ran = outcomes.filter(({ end }) => end !== "skipped");
  const seconds = ran.reduce((sum, outcome) => sum + outcome.seconds, 0);
  const head = `${kind.name}: ${counts.join(", ")}; ${ran.length} of ${outcomes.length} runs, ${seconds.toFixed(0)} s (VAS_SEED=${seed})`;
  const lines = outcomes.map(
    ({ run, end, seconds: took }, index) =>
      `${String(index + 1).padStart(4)} ${showRun(run)}: ${end}${end === "skipped" ? "" : ` (${took.toFixed(1)} s)`}`,
  );
  return [head, ...lines].join("\n");
}
