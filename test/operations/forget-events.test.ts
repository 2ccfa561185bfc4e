import { expect, test } from "vitest";
import { forgetEvents } from "../../manager/jobs/reconcilers/forget-events.js";
import { forgetOldEvents } from "../../manager/operations/forget-old-events.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { recordChange } from "../../manager/store/events.js";
import { loadConfig } from "../../shared/config.js";
import { FailureTarget } from "../../shared/states.js";
import { type Attached, attachedVolume } from "./attached.js";
import { eventsOf, sentencesOf } from "./events.js";
import { State } from "./state.js";

const DAY = 86_400_000;

async function beginResync({ state, lvolid, mirrorid, dextids: [dextid] }: Attached): Promise<void> {
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  await state.run(healMirror, { mirrorid, silentTooLong: new Set<number>() });
}

/** So many events, a millisecond apart. */
async function recordMany(state: State, count: number): Promise<void> {
  await state.store.transaction(async (tx) => {
    for (let at = 0; at < count; at += 1) {
      state.now += 1;
      const change = { target: FailureTarget.SSVR, targetid: 1, sentence: `change ${at}` };
      await recordChange(tx, change, { now: state.now });
    }
  });
}

test("what ended is kept for a week by default, and what has not ended for as long as it takes", async () => {
  const volume = await attachedVolume();
  const { state, hsvrid } = volume;
  await beginResync(volume);
  const all = await eventsOf(state);
  state.now += 6 * DAY;
  await forgetEvents(state.executor);
  expect(await eventsOf(state)).toEqual(all);

  state.now += 2 * DAY;
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  await forgetEvents(state.executor);
  const left = await sentencesOf(state);
  // The fence has cancelled the resync just now, so that its time begins now.
  expect(left).toEqual([
    expect.stringMatching(/^resync of /),
    expect.stringMatching(/^head server /),
    expect.stringMatching(/^fence of /),
  ]);
  state.now += 365 * DAY;
  await forgetEvents(state.executor);
  expect(await sentencesOf(state)).toEqual([expect.stringMatching(/^fence of /)]);
  expect(await state.findings()).toEqual([]);
});

test("how long it is kept can be set", async () => {
  const state = await State.open({ event_retention: 60 });
  await recordMany(state, 10);
  state.now += 59_995;
  await forgetEvents(state.executor);
  expect(await sentencesOf(state)).toEqual([
    "change 4",
    "change 5",
    "change 6",
    "change 7",
    "change 8",
    "change 9",
  ]);
});

test("of more than are kept the newest stay, jobs and others each, whatever their age", async () => {
  const { state } = await attachedVolume(4, 20, { max_events: 3, shred_slice_gb: 1 });
  await recordMany(state, 5);
  const before = await sentencesOf(state, 10_000);
  const isShred = (sentence: string) => sentence.startsWith("shred of");
  expect(before.filter(isShred).length).toBeGreaterThan(70);
  await forgetEvents(state.executor);
  const left = await sentencesOf(state);
  expect(left.filter((sentence) => sentence.startsWith("change"))).toEqual([
    "change 2",
    "change 3",
    "change 4",
  ]);
  const jobs = left.filter((sentence) => !sentence.startsWith("change"));
  expect(jobs).toHaveLength(3);
  expect(jobs.at(-1)).toMatch(/^attach of volume v/);
});

test("much of it goes in batches, each in a transaction of its own, the oldest first", async () => {
  const state = await State.open({ event_retention: 60 });
  await recordMany(state, 1_200);
  state.now += DAY;
  expect(await state.run(forgetOldEvents, {})).toBe(true);
  const left = await sentencesOf(state, 10_000);
  expect([left.length, left[0]]).toEqual([700, "change 500"]);
  await forgetEvents(state.executor);
  expect(await eventsOf(state)).toEqual([]);
  expect(await state.run(forgetOldEvents, {})).toBe(false);
});

test("the configuration names both limits, and refuses what would forget a job before its caller is answered", () => {
  const settings = (env: NodeJS.ProcessEnv) => loadConfig(undefined, env).storage_manager;
  expect(settings({})).toMatchObject({ event_retention: 604_800, max_events: 100_000 });
  expect(() => settings({ VAS_STORAGE_MANAGER_EVENT_RETENTION: "59" })).toThrow(/60 to 31536000/);
  expect(() => settings({ VAS_STORAGE_MANAGER_MAX_EVENTS: "10" })).toThrow(/1000 to/);
});
