import { expect, test } from "vitest";
import { beginMaintenance } from "../../manager/operations/begin-maintenance.js";
import {
  type ComparedGigabyte,
  nextComparison,
  nextDetachedToCompare,
  recordComparison,
} from "../../manager/operations/compare-mirror.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readClusterStatus } from "../../manager/operations/read-cluster-status.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { FailureTarget } from "../../shared/states.js";
import { type Attached, attachedVolume } from "./attached.js";
import { detach } from "./detached.js";
import { eventsNamed } from "./events.js";
import { nobody } from "./heal-all.js";
import type { State } from "./state.js";

const DAY = 86_400_000;
const settings = { compare_interval: 86_400 };
const next = (state: State, except: readonly number[] = []) => state.run(nextComparison, { except });

async function noticesOf(state: State): Promise<readonly string[]> {
  const sources = { cluster: "", serial: 1, notices: [], progressOf: () => -1 };
  const { notices } = await state.run(readClusterStatus, sources);
  return notices.filter((notice) => notice.startsWith("the copies of"));
}

function differing({ mirrorid, dextids: [a, b, c] }: Attached): ComparedGigabyte {
  return { mirrorid, gigabyte: 0, differences: [{ region: 3, byte: 5, copies: [[a, b], [c]] }] };
}

test("the copies of an attached volume are due an interval after it was made, and after they were compared", async () => {
  const { state, mirrorid, lvolid, dextids } = await attachedVolume(3, 4, settings);
  expect(await next(state)).toBeUndefined();
  state.now += DAY;
  const plan = await next(state);
  expect(plan).toMatchObject({ mirrorid, gigabyte: 0, lvolid, epoch: 1 });
  expect(plan?.copies.map(({ dextid }) => dextid)).toEqual([...dextids]);
  expect(await next(state, [mirrorid])).toBeUndefined();

  await state.run(recordComparison, { mirrorid, gigabyte: 0, differences: [] });
  expect(await next(state)).toBeUndefined();
  state.now += DAY;
  expect(await next(state)).toMatchObject({ mirrorid });
  // A clock that was set back must not put it off for years.
  state.now -= 3 * DAY;
  expect(await next(state)).toMatchObject({ mirrorid });
  expect(await state.findings()).toEqual([]);
});

test("a detached volume is compared by a head that it gets for that, one volume at a time", async () => {
  const { state, lvolid, mirrorid } = await attachedVolume(3, 4, settings);
  const wanting = () => state.run(nextDetachedToCompare, { except: nobody });
  expect(await wanting()).toBeUndefined();
  state.now += DAY;
  expect(await wanting()).toBeUndefined();
  await detach(state, lvolid);
  expect(await next(state)).toBeUndefined();
  expect(await wanting()).toBe(lvolid);
  // Not for the price of a copy that could not be asked.
  await state.run(markSilent, { kind: "storage", id: 1 });
  expect(await wanting()).toBeUndefined();
  await state.run(markHeard, { kind: "storage", id: 1 });

  expect(await state.run(beginMaintenance, { lvolid, silentTooLong: nobody })).toBe(1);
  const [attach] = await state.claim("attach");
  await state.run(finishAttach, { jobid: attach?.jobid ?? 0, lvolid });
  expect(await wanting()).toBe(lvolid);
  expect(await next(state)).toMatchObject({ mirrorid, lvolid, epoch: 2 });
  await state.run(recordComparison, { mirrorid, gigabyte: 0, differences: [] });
  expect(await wanting()).toBeUndefined();
});

test("a difference is one event, and a notice until a comparison finds none", async () => {
  const attached = await attachedVolume(3, 4, settings);
  const { state } = attached;
  const found = differing(attached);
  for (let time = 0; time < 2; time += 1) await state.run(recordComparison, found);
  const at = 3 * 16 * 1024 * 1024 + 5;
  const told = await eventsNamed(state, `the copies of volume v differ at byte ${at}: dext-`);
  expect(told.map(({ target, targetid }) => [target, targetid])).toEqual([
    [FailureTarget.LVOL, attached.dextids[0]],
  ]);
  expect(await noticesOf(state)).toEqual([told[0]?.sentence]);
  expect(await (await state.restart()).findings()).toEqual([]);
});

test("a notice of a difference goes when the copies are equal, and when one of them is given up", async () => {
  const attached = await attachedVolume(3, 4, settings);
  const { state, mirrorid } = attached;
  await state.run(recordComparison, differing(attached));
  await state.run(recordComparison, { mirrorid, gigabyte: 0, differences: [] });
  expect(await noticesOf(state)).toEqual([]);
  await state.run(recordComparison, differing(attached));
  expect(await noticesOf(state)).toHaveLength(1);
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: attached.dextids[2] });
  expect(await noticesOf(state)).toEqual([]);
});
