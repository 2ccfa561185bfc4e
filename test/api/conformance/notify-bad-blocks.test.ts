import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { shownState } from "../../harness/shown-state.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf, storageServerOf, twoCopiesOf, waitUntilSound } from "./copies.js";
import { expectRefusals, expectRefused } from "./refusals.js";
import { createSmallAttached, infoOf, patient } from "./volumes.js";

const DISK_GB = 4;
const cluster = shareCluster({ storageServers: 3, diskGb: DISK_GB, gate: true, manager: patient });
const method = "notifyBadBlocks";
const find = async (pdskid: number) =>
  (await cluster().api("listPhysicalDisks", {})).find((disk) => disk.pdskid === pdskid);
const firstDisk = async (): Promise<number> => (await cluster().api("listPhysicalDisks", {}))[0]?.pdskid ?? 0;
const notify = (pdskid: number, blocks: number[]) => cluster().api(method, { pdskid, blocks });

/** Nothing that is shown has changed, and nothing is told of it. */
async function expectNothingNew(work: () => Promise<unknown>): Promise<void> {
  const seen = async () => [await shownState(cluster()), await cluster().api("listEvents", {})];
  const before = await seen();
  expect(await work()).toBe(0);
  expect(await seen()).toEqual(before);
}

test("notifyBadBlocks answers EINVAL for a disk that is not there, for blocks that it has not, and for what is none", async () => {
  const pdskid = await firstDisk();
  const ids = [0, -1, 2_000_000, 2 ** 40, "1", 1.5, true, [], undefined];
  const lists = [undefined, 1, "0", true, {}, ["0"], [0.5], [true], [[0]]];
  const beyond = [[-1], [DISK_GB], [0, 1, DISK_GB], [1_000_000], [2 ** 40]];
  await expectRefusals(cluster(), method, [
    ...ids.map((wrong) => [{ pdskid: wrong, blocks: [0] }, "EINVAL", "pdskid"] as const),
    ...lists.map((blocks) => [{ pdskid, blocks }, "EINVAL", "blocks"] as const),
    ...beyond.map((blocks) => [{ pdskid, blocks }, "EINVAL", "block"] as const),
  ]);
  // None of the good ones beside a wrong one was taken.
  expect(await find(pdskid)).toMatchObject({ priority: Priority.HIGH });
});

test("notifyBadBlocks answers 0 for an empty list, and changes nothing", async () => {
  const pdskid = await firstDisk();
  await expectNothingNew(() => notify(pdskid, []));
});

test("notifyBadBlocks has the copies on a block made anew elsewhere, and leaves those on others alone", async () => {
  const hit = await createSmallAttached(cluster(), "hit");
  const [copy, other] = await twoCopiesOf(cluster(), hit.lvolid);
  const { pdskid, offset } = copy.lvolspec;
  const free = [DISK_GB - 1, DISK_GB - 2].filter((block) => block !== offset)[0] ?? 0;
  expect(await notify(pdskid, [free])).toBe(0);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.LOW });
  expect(await infoOf(cluster(), hit.lvolid)).toMatchObject({ fault: false });
  expect((await twoCopiesOf(cluster(), hit.lvolid))[0].lvolid).toBe(copy.lvolid);
  await expectNothingNew(() => notify(pdskid, [free]));

  expect(await notify(pdskid, [offset, free, offset])).toBe(0);
  await waitUntil("the copy is replaced", async () => {
    const ids = (await copiesOf(cluster(), hit.lvolid)).map(({ lvolid }) => lvolid);
    return !ids.includes(copy.lvolid) && !(await infoOf(cluster(), hit.lvolid)).fault;
  });
  await waitUntilSound(cluster(), hit.lvolid);
  const copies = await copiesOf(cluster(), hit.lvolid);
  expect(copies).toHaveLength(2);
  expect(copies.map(({ lvolid }) => lvolid)).toContain(other.lvolid);
  expect(copies.map(({ lvolspec }) => lvolspec.pdskid)).not.toContain(pdskid);
  await cluster().waitUntilUsable();
  await expectNothingNew(() => notify(pdskid, [free, offset]));
  await cluster().api("detachLogicalVolume", { lvolid: hit.lvolid });
});

test("notifyBadBlocks leaves a disk that takes nothing new, also after the next registration", async () => {
  const disks = await cluster().api("listPhysicalDisks", {});
  const low = disks.find(({ priority }) => priority === Priority.LOW);
  if (low === undefined) throw new Error("no disk has bad blocks");
  const { pdskid, ssvrid } = low;
  const everywhere = { lvolname: "everywhere", capacity: 1, redundancy: disks.length };
  await expectRefused(cluster(), "createLogicalVolume", everywhere, "ENOSPC");

  const server = await storageServerOf(cluster(), ssvrid);
  await cluster().api("notifyFailure", { target: FailureTarget.SSVR, targetid: ssvrid });
  expect(await find(pdskid)).toMatchObject({ priority: Priority.OFFLINE });
  await server.killControl();
  server.up();
  await waitUntil("the disk is registered", async () => (await find(pdskid))?.priority !== Priority.OFFLINE);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.LOW });
  expect(await cluster().api("listStorageServers", { ssvrid })).toMatchObject([{ priority: Priority.HIGH }]);
  await expectRefused(cluster(), "createLogicalVolume", everywhere, "ENOSPC");
});

test("notifyBadBlocks leaves a disk FAULTY that was reported as failed", async () => {
  const high = (await cluster().api("listPhysicalDisks", {})).find(
    ({ priority }) => priority === Priority.HIGH,
  );
  const pdskid = high?.pdskid ?? 0;
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  expect(await notify(pdskid, [0])).toBe(0);
  expect(await find(pdskid)).toMatchObject({ priority: Priority.FAULTY });
});
