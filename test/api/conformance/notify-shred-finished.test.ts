import { expect, test } from "vitest";
import { EventStatus } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { shownState } from "../../harness/shown-state.js";
import { waitUntil } from "../../harness/wait-until.js";
import { twoCopiesOf } from "./copies.js";
import { expectNumberForms } from "./number-forms.js";
import { endlessPauses, postpone } from "./postponed-jobs.js";
import { expectRefusals } from "./refusals.js";
import { createSmallAttached } from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, gate: true, manager: endlessPauses });
const method = "notifyShredFinished";
const SHRED = 3;
const NOBODY = 0x7fff_fff0;

/** Answered 0, and nothing that is shown has changed. */
async function expectNoEffect(dextid: number): Promise<void> {
  const before = await shownState(cluster());
  expect(await cluster().api(method, { dextid }), String(dextid)).toBe(0);
  expect(await shownState(cluster())).toEqual(before);
}

test("notifyShredFinished answers EINVAL for what is no id", async () => {
  const wrong = [undefined, "1", "", 1.5, true, [], {}];
  await expectRefusals(
    cluster(),
    method,
    wrong.map((dextid) => [{ dextid }, "EINVAL", "dextid"] as const),
  );
  const about = { method, member: "dextid", value: NOBODY, others: () => ({}) } as const;
  for (const answer of await expectNumberForms(cluster(), about)) expect(answer).toBe(0);
});

test("notifyShredFinished answers 0 for what waits for no shred, and changes nothing", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "in-use");
  const { components } = await cluster().api("showLogicalVolume", { lvolid });
  const [first] = await twoCopiesOf(cluster(), lvolid);
  for (const id of [first.lvolid, components[0].lvolid, lvolid, NOBODY, 0, -1]) await expectNoEffect(id);
  await cluster().api("detachLogicalVolume", { lvolid });
  await expectNoEffect(first.lvolid);
  await cluster().api("deleteLogicalVolume", { lvolid });
  await cluster().waitUntilUsable();
  // It was shredded, and is no more.
  await expectNoEffect(first.lvolid);
});

test("notifyShredFinished leaves a shred alone that runs", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "running");
  const [first] = await twoCopiesOf(cluster(), lvolid);
  await cluster().api("detachLogicalVolume", { lvolid });
  const hold = cluster().gate.hold({ method: "registerShredRequest" });
  await cluster().api("deleteLogicalVolume", { lvolid });
  await waitUntil("the shreds of both copies run", () => hold.messages.length === 2);
  const { capacity } = await cluster().status();
  for (let time = 1; time <= 3; time += 1) await expectNoEffect(first.lvolid);
  expect((await cluster().status()).capacity).toEqual(capacity);
  expect(hold.messages).toHaveLength(2);
  await hold.release();
  await cluster().waitUntilUsable();
});

test("notifyShredFinished makes a shred run at once that waits for its next attempt", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "hastened");
  const [first, second] = await twoCopiesOf(cluster(), lvolid);
  await cluster().api("detachLogicalVolume", { lvolid });
  const unreachable = cluster().gate.handle({ method: "registerShredRequest" }, (message) => message.lose());
  await cluster().api("deleteLogicalVolume", { lvolid });
  await waitUntil("the shreds of both copies run", async () => (await statusOf(second.lvolid)) !== undefined);
  await postpone(cluster(), "shred", first.lvolid);
  unreachable();
  await waitUntil("the other one is done", async () => (await statusOf(second.lvolid)) === EventStatus.DONE);
  expect(await statusOf(first.lvolid)).toBe(EventStatus.PENDING);
  await expectNoEffect(second.lvolid);
  expect(await statusOf(first.lvolid)).toBe(EventStatus.PENDING);

  expect(await cluster().api(method, { dextid: first.lvolid })).toBe(0);
  await waitUntil("it is done", async () => (await statusOf(first.lvolid)) === EventStatus.DONE);
  await cluster().waitUntilUsable();
});

/** Of the shred of an extent, as listEvents shows it. */
async function statusOf(dextid: number): Promise<number | undefined> {
  const events = await cluster().api("listEvents", {});
  return events.findLast(({ targetid, event }) => targetid === dextid && event === SHRED)?.event_status;
}
