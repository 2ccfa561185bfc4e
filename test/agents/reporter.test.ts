import { pino } from "pino";
import { expect, test } from "vitest";
import { startReporter } from "../../agents/common/reporter.js";
import { until } from "./until.js";

test("registering is tried until it succeeds, a reason is told once, and a poke registers again", async () => {
  const lines: string[] = [];
  let attempts = 0;
  const reporter = startReporter({
    register: async () => {
      attempts += 1;
      if (attempts <= 5) throw new Error(attempts <= 3 ? "nobody there" : "refused");
    },
    log: pino({}, { write: (line) => void lines.push(line) }),
    firstPauseMs: 0,
    lastPauseMs: 0,
  });
  await until(() => attempts === 6);
  reporter.poke();
  await until(() => attempts === 7);
  await reporter.stop();
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
    "not registered yet, trying again: nobody there",
    "not registered yet, trying again: refused",
    "registered with the manager",
  ]);
});
