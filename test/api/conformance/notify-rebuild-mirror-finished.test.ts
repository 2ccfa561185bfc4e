import { expect, test } from "vitest";
import { EventStatus } from "../../../shared/states.js";
import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { shownState } from "../../harness/shown-state.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf, twoCopiesOf, waitUntilSound } from "./copies.js";
import { expectNumberForms } from "./number-forms.js";
import { endlessPauses, postpone } from "./postponed-jobs.js";
import { expectRefusals } from "./refusals.js";
import { createSmallAttached } from "./volumes.js";

const cluster = shareCluster({ storageServers: 3, diskGb: 2, gate: true, manager: endlessPauses });
const method = "notifyRebuildMirrorFinished";
const RESYNC = 2;
const NOBODY = 0x7fff_fff0;
const { DONE, PENDING, PROGRESS } = EventStatus;

async function mirrorOf(lvolid: number): Promise<number> {
  return (await cluster().api("showLogicalVolume", { lvolid })).components[0].components[0]?.lvolid ?? 0;
}

/** Of the resync of an extent, as listEvents shows it. */
async function statusOf(dextid: number): Promise<number | undefined> {
  const events = await cluster().api("listEvents", {});
  return events.findLast(({ targetid, event }) => targetid === dextid && event === RESYNC)?.event_status;
}

test("notifyRebuildMirrorFinished answers ENOENT for a mirror that is not there, and EINVAL for what is wrong", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "told");
  const mirrorid = await mirrorOf(lvolid);
  const dextid = (await twoCopiesOf(cluster(), lvolid))[0].lvolid;
  const nobody = [0, -1, NOBODY, 2 ** 40, lvolid, dextid];
  const wrongIds = [undefined, "1", "", 1.5, true, [], {}];
  const wrongLists = [undefined, 1, "x", true, {}, [1], [[]]];
  const status = (dext_status: XmlRpcStruct[string]) => ({ mirrorid, dexts: [{ dextid, dext_status }] });
  await expectRefusals(cluster(), method, [
    ...nobody.map((id) => [{ mirrorid: id, dexts: [] }, "ENOENT", "mirror"] as const),
    ...wrongIds.map((id) => [{ mirrorid: id, dexts: [] }, "EINVAL", "mirrorid"] as const),
    ...wrongLists.map((dexts) => [{ mirrorid, dexts }, "EINVAL", "dexts"] as const),
    ...[-1, 6, 100, "3", 1.5, true, undefined].map((s) => [status(s), "EINVAL", "dext_status"] as const),
    [{ mirrorid, dexts: [{ dext_status: DONE }] }, "EINVAL", "dextid"],
    [{ mirrorid, dexts: [{ dextid: "1", dext_status: DONE }] }, "EINVAL", "dextid"],
    [{ mirrorid: NOBODY, dexts: [{ dextid, dext_status: 6 }] }, "EINVAL", "dext_status"],
  ]);
  const about = { method, member: "mirrorid", value: mirrorid, others: () => ({ dexts: [] }) } as const;
  for (const answer of await expectNumberForms(cluster(), about)) expect(answer).toBe(0);
});

test.each(Object.entries(EventStatus))(
  "notifyRebuildMirrorFinished answers 0 for the status %s of copies that are good, or not the mirror's, and changes nothing",
  async (_, dext_status) => {
    const [volume] = await cluster().api("listLogicalVolumes", { lvolname: "told" });
    const lvolid = volume?.lvolid ?? 0;
    const mirrorid = await mirrorOf(lvolid);
    const ids = (await copiesOf(cluster(), lvolid)).map((copy) => copy.lvolid);
    const before = await shownState(cluster());
    for (const dextids of [[], ids, [...ids, ...ids], [NOBODY, 0, -1, lvolid]]) {
      const dexts = dextids.map((dextid) => ({ dextid, dext_status }));
      expect(await cluster().api(method, { mirrorid, dexts })).toBe(0);
    }
    expect(await shownState(cluster())).toEqual(before);
  },
);

test("notifyRebuildMirrorFinished leaves a resync alone that runs, and makes one run at once that waits for its next attempt", async () => {
  const [volume] = await cluster().api("listLogicalVolumes", { lvolname: "told" });
  const lvolid = volume?.lvolid ?? 0;
  const mirrorid = await mirrorOf(lvolid);
  const [lost, kept] = await twoCopiesOf(cluster(), lvolid);
  const unreachable = cluster().gate.handle({ method: "replaceMirrorDisk" }, (message) => message.lose());
  await cluster().api("notifyFailure", { target: 4, targetid: lost.lvolid });
  const filled = await waitUntil("a copy is being filled", async () => {
    const ids = (await copiesOf(cluster(), lvolid)).map((copy) => copy.lvolid);
    return ids.find((id) => id !== lost.lvolid && id !== kept.lvolid);
  });
  await waitUntil("its resync runs", async () => (await statusOf(filled)) === PROGRESS);
  const tell = (dextid: number) =>
    cluster().api(method, { mirrorid, dexts: [{ dextid, dext_status: DONE }] });
  expect(await tell(filled)).toBe(0);
  expect(await statusOf(filled)).toBe(PROGRESS);
  expect(await cluster().api("listLogicalVolumes", { lvolid })).toMatchObject([{ fault: true }]);

  await postpone(cluster(), "resync", filled);
  unreachable();
  expect(await tell(kept.lvolid)).toBe(0);
  expect(await cluster().api(method, { mirrorid, dexts: [] })).toBe(0);
  expect(await statusOf(filled)).toBe(PENDING);
  expect(await tell(filled)).toBe(0);
  await waitUntil("it is done", async () => (await statusOf(filled)) === DONE);
  await waitUntilSound(cluster(), lvolid);
  await cluster().api("detachLogicalVolume", { lvolid });
});
