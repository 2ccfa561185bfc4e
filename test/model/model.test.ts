import { expect, test } from "vitest";
import { randomData, seed } from "../harness/random-data.js";
import { History } from "./history.js";
import { Lane } from "./lane.js";
import { ModelRun, POOL_BYTES } from "./run.js";
import { FAULTS, RUNS_PER_LIFE, STEPS, WINDOWS } from "./schedule.js";
import { Statistics } from "./statistics.js";

const RUNS = Number(process.env.VAS_RUNS ?? 200);
const ONLY = process.env.VAS_RUN === undefined ? undefined : Number(process.env.VAS_RUN);
/** Volumes at once: each waits some of the time. */
const LANES = 3;
/** So many runs have every kind of step and fault in them. */
const FULL_SERIES = 200;
const HERE = "test/model/model.test.ts";

const statistics = new Statistics();
const pool = randomData("pool", POOL_BYTES);

/** The runs of each volume. To repeat one, those before it on its volume are repeated too. */
function livesToPlay(): number[][] {
  const first = ONLY === undefined ? 0 : ONLY - (ONLY % RUNS_PER_LIFE);
  const end = ONLY === undefined ? RUNS : ONLY + 1;
  const lives: number[][] = [];
  for (let run = first; run < end; run += 1) {
    if (run % RUNS_PER_LIFE === 0) lives.push([]);
    lives.at(-1)?.push(run);
  }
  return lives;
}

/** Plays one life after the other, until there are none left. */
async function work(waiting: number[][]): Promise<void> {
  const lane = await Lane.create();
  try {
    for (let life = waiting.shift(); life !== undefined; life = waiting.shift()) {
      await lane.renew();
      const history = new History(WINDOWS);
      for (const run of life) {
        const model = new ModelRun({ lane, history, seed, run, pool, statistics });
        await model.execute().catch((error: unknown) => {
          waiting.length = 0;
          const replay = `VAS_SEED=${seed} VAS_RUN=${run} npx vitest run --config test/vitest.config.ts ${HERE}`;
          process.stderr.write(`${replay}\n${model.trace.join("\n")}\n`);
          throw new Error(`run ${run}: ${String(error)}; again with: ${replay}`, { cause: error });
        });
      }
    }
  } finally {
    lane.stop();
  }
}

/** Nothing that the schedule may hold was left out. */
function assertAllPlayed(): void {
  expect(STEPS.filter((kind) => statistics.of("steps", kind) === 0)).toEqual([]);
  expect(FAULTS.filter((kind) => statistics.of("faults", kind) === 0)).toEqual([]);
  expect(statistics.of("answers", "snapshot taken")).toBeGreaterThan(statistics.of("steps", "take") / 2);
}

test(
  `in ${RUNS} random runs all data is what the model allows (seed ${seed})`,
  async () => {
    const lives = livesToPlay();
    const runs = lives.flat().length;
    const started = performance.now();
    await Promise.all(Array.from({ length: Math.min(LANES, lives.length) }, () => work(lives)));
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log([`${runs} runs in ${seconds} s, seed ${seed}`, ...statistics.lines()].join("\n  "));
    if (runs >= FULL_SERIES) assertAllPlayed();
  },
  4 * 3_600_000,
);
