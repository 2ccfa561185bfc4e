import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { seed } from "../harness/random-data.js";
import { buildWorld } from "./chaos/build-world.js";
import { faults } from "./chaos/faults.js";
import { Figures } from "./chaos/figures.js";
import { Journal } from "./chaos/journal.js";
import { makePeace } from "./chaos/peace.js";
import { Random } from "./chaos/random.js";
import type { World } from "./chaos/world.js";

/** Set VAS_SECONDS, or VAS_FAULTS, for a long run, and VAS_SEED to repeat one. */
const SECONDS = Number(process.env.VAS_SECONDS ?? 0);
const COUNT = Number(process.env.VAS_FAULTS ?? (SECONDS > 0 ? Number.POSITIVE_INFINITY : 60));
/** After so long with faults everything is brought up, healed and compared. */
const ROUND_MS = Number(process.env.VAS_ROUND_SECONDS ?? 900) * 1000;
/** Faults under way at one time, besides those that take minutes. */
const AT_ONCE = 6;
/** Between the beginnings of two faults. */
const GAP_MS = [100, 1700] as const;
const LAST_FAULTS = 40;

const command = `VAS_SEED=${seed} ${SECONDS > 0 ? `VAS_SECONDS=${SECONDS}` : `VAS_FAULTS=${COUNT}`} npx vitest run --config test/vitest.config.ts test/cluster/chaos.test.ts`;
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

test(
  "no acknowledged write is lost, no snapshot changes and nothing is stuck, whatever fails at once",
  async () => {
    const journal = new Journal();
    const world = await buildWorld(seed, journal.note);
    say(command);
    const figures = new Figures(world, say);
    const run = new Run(world, figures);
    try {
      while (!run.isOver) await run.round();
      expect(figures.excesses()).toEqual([]);
      await expectNothingLeft(world);
      say(figures.table(command));
    } catch (error) {
      say(
        [
          `FAILED: ${String(error)}`,
          ...world.users.flatMap(({ violations }) => violations.slice(0, 5)),
          `The last faults before it:\n${journal.lastFaults(LAST_FAULTS).join("\n")}`,
          figures.table(command).replace(/^ {2}stuck .*$/m, ""),
          `Logs, notes and the manager's database are kept in ${journal.keep(world.cluster)}`,
          `Again: ${command}`,
        ].join("\n"),
      );
      throw error;
    } finally {
      figures.end();
      for (const user of world.users) user.stop();
    }
  },
  // Building it, and healing and comparing after each round, takes minutes.
  1_800_000 + (SECONDS > 0 ? SECONDS * 2500 : COUNT * 15_000),
);

/** Rounds of faults, each followed by peace. */
class Run {
  readonly #random = new Random(seed, "faults");
  readonly #began = performance.now();
  #left = COUNT;

  constructor(
    private readonly world: World,
    private readonly figures: Figures,
  ) {}

  get isOver(): boolean {
    return this.#left <= 0 || this.#leftMs <= 0;
  }

  get #leftMs(): number {
    return SECONDS > 0 ? this.#began + SECONDS * 1000 - performance.now() : Number.POSITIVE_INFINITY;
  }

  async round(): Promise<void> {
    const { users } = this.world;
    await Promise.all(users.map(({ attachment }) => attachment.connected()));
    this.figures.skip();
    const using = Promise.all(users.map((user) => user.run()));
    using.catch(() => undefined); // it is awaited below
    await Promise.race([using, this.#faults()]);
    await makePeace(this.world, using, say);
    this.#expectNoViolation();
  }

  #expectNoViolation(): void {
    expect(this.world.users.flatMap(({ violations }) => violations.slice(0, 5))).toEqual([]);
  }

  async #faults(): Promise<void> {
    const end = performance.now() + Math.min(this.#leftMs, ROUND_MS);
    const active = new Set<Promise<void>>();
    const all = new Set<Promise<void>>();
    while (this.#left > 0 && performance.now() < end) {
      const fault = this.#random.weighted(faults);
      const course = fault?.begin(this.world, this.#random);
      if (fault !== undefined && course !== undefined) {
        this.#left -= 1;
        this.figures.count(fault.name);
        for (const set of fault.isLong === true ? [all] : [all, active]) {
          set.add(course);
          course.finally(() => set.delete(course)).catch(() => undefined);
        }
        await pause(this.#random.between(...GAP_MS));
      }
      this.#expectNoViolation();
      if (course === undefined || active.size >= AT_ONCE) await Promise.race([...active, pause(200)]);
    }
    for (const user of this.world.users) user.slowDown();
    await Promise.all(all);
  }
}

/** Every server ends in order when it is told to, and none of its processes is left. */
async function expectNothingLeft({ cluster }: World): Promise<void> {
  for (const server of [...cluster.heads, ...cluster.storage, cluster.manager]) {
    expect(await server.stop(20_000), `${server.plan.name} ends when it is told to`).toBe(true);
    expect(server.processes()).toEqual([]);
  }
}
