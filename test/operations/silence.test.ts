import { expect, test } from "vitest";
import { healMirrors } from "../../manager/jobs/reconcilers/heal-mirrors.js";
import { Maintenance } from "../../manager/jobs/reconcilers/maintenance.js";
import { Notices } from "../../manager/jobs/reconcilers/notices.js";
import { SilenceWatch } from "../../manager/jobs/reconcilers/silence.js";
import { listEvents } from "../../manager/operations/list-events.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { State } from "./state.js";

const SERVERS = [1, 2, 3, 4];

function watch() {
  const state = { now: 0 };
  const clock = { now: () => state.now, monotonic: () => state.now };
  const silence = new SilenceWatch(clock, { replaceAfter: 100, maxSilent: 0 });
  return (now: number, silent: readonly number[]) => {
    state.now = now;
    const servers = SERVERS.map((ssvrid) => ({
      ssvrid,
      silent: silent.includes(ssvrid) ? (1 as const) : (0 as const),
      lost: 0 as const,
    }));
    const { brake, tooLong } = silence.assess(servers);
    return { brake, tooLong: [...tooLong] };
  };
}

test("a server that was silent for replace_after is replaced, one that was heard of meanwhile is not", () => {
  const assess = watch();
  expect(assess(0, [1])).toEqual({ brake: false, tooLong: [] });
  expect(assess(99, [1])).toEqual({ brake: false, tooLong: [] });
  expect(assess(100, [1])).toEqual({ brake: false, tooLong: [1] });
  expect(assess(110, [])).toEqual({ brake: false, tooLong: [] });
  expect(assess(120, [1])).toEqual({ brake: false, tooLong: [] });
});

test("a wall clock that is set changes nothing of how long a server has been silent", () => {
  const state = { now: 1_000_000, monotonic: 0 };
  const clock = { now: () => state.now, monotonic: () => state.monotonic };
  const silence = new SilenceWatch(clock, { replaceAfter: 100, maxSilent: 0 });
  const tooLong = (now: number, monotonic: number): number[] => {
    Object.assign(state, { now, monotonic });
    const servers = SERVERS.map((ssvrid) => ({ ssvrid, silent: ssvrid === 1 ? 1 : 0, lost: 0 }) as const);
    return [...silence.assess(servers).tooLong];
  };
  expect(tooLong(1_000_000, 0)).toEqual([]);
  expect(tooLong(9_000_000, 99)).toEqual([]);
  expect(tooLong(0, 100)).toEqual([1]);
});

test("while half of the servers are silent nothing is replaced, nor when they are heard of one after the other", () => {
  const assess = watch();
  expect(assess(0, [1, 2, 3, 4])).toEqual({ brake: true, tooLong: [] });
  expect(assess(1000, [1, 2, 3, 4])).toEqual({ brake: true, tooLong: [] });
  expect(assess(1001, [4])).toEqual({ brake: false, tooLong: [] });
  expect(assess(1099, [4])).toEqual({ brake: false, tooLong: [] });
  expect(assess(1100, [4])).toEqual({ brake: false, tooLong: [4] });
});

test("that nothing is replaced, and that it is again, are events, each told once", async () => {
  const state = await State.open();
  for (let number = 1; number <= 4; number += 1) await state.addServer(number, 4);
  const clock = { now: () => state.now, monotonic: () => state.now };
  const silence = new SilenceWatch(clock, { replaceAfter: 100, maxSilent: 0 });
  const maintenance = new Maintenance(clock, { delay: 0, maxPause: 1_000, alsoWanting: () => [] });
  const brakes = async (): Promise<string[]> => {
    for (let round = 0; round < 2; round += 1)
      await healMirrors(state.executor, silence, new Notices(), maintenance);
    const events = await state.run(listEvents, { progressOf: () => -1 });
    return events
      .map(({ sentence }) => sentence)
      .filter((sentence) => sentence.includes("replaced automatically"));
  };
  await state.run(markSilent, { kind: "storage", id: 1 });
  expect(await brakes()).toEqual([]);
  await state.run(markSilent, { kind: "storage", id: 2 });
  const on =
    "2 storage servers are silent: the fault is likely on the manager's side, so nothing is replaced automatically";
  expect(await brakes()).toEqual([on]);
  await state.run(markHeard, { kind: "storage", id: 2 });
  expect(await brakes()).toEqual([on, "1 storage server is silent: copies are replaced automatically again"]);
});
