import { expect, test } from "vitest";
import { compareHoldings, deletedDisks, type Holdings } from "../../manager/domain/compare-holdings.js";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { failAttach, finishAttach } from "../../manager/operations/end-attach.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readStorage } from "../../manager/operations/read-agent-views.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { recordRevoked } from "../../manager/operations/revoke-later.js";
import { VasError } from "../../shared/errors.js";
import type { GrantedExtent } from "../../shared/methods/agent-methods.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume } from "./attached.js";
import { detach } from "./detached.js";
import { healAll } from "./heal-all.js";
import type { State } from "./state.js";

/** The first server, its disk, and the place there that the first member has. */
const SSVRID = 1;
const PDSKID = 1;
const OTHER = 2;

/** What the first server holds when it has done all that it was asked for. */
async function holdingsNow({ state, lvolid }: Attached): Promise<Holdings> {
  const attachment = await state.run(readAttachment, { lvolid });
  if (attachment === undefined) throw new Error("there is no volume");
  const { epoch, grant_version: version, hsvrid } = attachment.volume;
  const extents = attachment.grants.find(({ ssvrid }) => ssvrid === SSVRID)?.extents ?? [];
  const granted = extents.map(({ pdskid, offset, capacity, generation }) => ({
    pdskid,
    offset,
    capacity,
    generation,
    zeroed: false,
  }));
  return {
    disks: [{ pdskid: PDSKID, path: "/dev/sdb", served: true, why: "", capacity: 4 }],
    grants: [{ lvolid, epoch, hsvrid: hsvrid ?? 1, version, revoked: epoch - 1, extents }],
    runs: [...granted, { pdskid: PDSKID, offset: 1, capacity: 3, generation: 1, zeroed: true }],
  };
}

async function differences(state: State, holdings: Holdings): Promise<string[]> {
  return compareHoldings(await viewOf(state, holdings), holdings).map(({ sentence }) => sentence);
}

function viewOf(state: State, { grants, disks }: Holdings) {
  return state.run(readStorage, {
    ssvrid: SSVRID,
    lvolids: grants.map(({ lvolid }) => lvolid),
    pdskids: disks.map(({ pdskid }) => pdskid),
  });
}

/** With another grant of the volume. */
function granting(
  { grants, ...rest }: Holdings,
  change: Partial<Holdings["grants"][number]>,
  extent: Partial<GrantedExtent> = {},
): Holdings {
  const changed = grants.map((grant) => {
    const extents = grant.extents.map((granted) => ({ ...granted, ...extent }));
    return { ...grant, extents, ...change };
  });
  return { ...rest, grants: changed };
}

/** With another disk. */
function serving(holdings: Holdings, change: Partial<Holdings["disks"][number]>): Holdings {
  return { ...holdings, disks: holdings.disks.map((disk) => ({ ...disk, ...change })) };
}

const run = (offset: number, generation: number, zeroed: boolean) => ({
  pdskid: PDSKID,
  offset,
  capacity: 1,
  generation,
  zeroed,
});

test("a server that holds what it was granted is as it should be, also for volumes that were never attached", async () => {
  const attached = await attachedVolume();
  const { state } = attached;
  await state.run(createVolume, { lvolname: "fresh", capacity: 1, redundancy: 3 });
  expect(await differences(state, await holdingsNow(attached))).toEqual([]);
});

interface Damage {
  readonly what: string;
  readonly change: (holdings: Holdings, attached: Attached) => Holdings;
  readonly says: string;
}

const damages: Damage[] = [
  {
    what: "a disk that is not served",
    change: (now) => serving(now, { served: false, why: "it does not spin" }),
    says: "pdsk-00000001 is in use, but ssvr-00000001 does not serve it: it does not spin",
  },
  {
    what: "a disk that is not there",
    change: (now) => ({ ...now, disks: [] }),
    says: "pdsk-00000001 is in use, but ssvr-00000001 has no such disk",
  },
  {
    what: "a disk that became smaller",
    change: (now) => serving(now, { capacity: 3 }),
    says: "pdsk-00000001 is in use, but ssvr-00000001 serves 3 GB of its 4 GB",
  },
  {
    what: "another server's disk",
    change: (now) => ({
      ...now,
      disks: [...now.disks, { ...serving(now, {}).disks[0], pdskid: OTHER } as never],
    }),
    says: "ssvr-00000001 serves pdsk-00000002, which belongs to ssvr-00000002",
  },
  {
    what: "a disk of an id that is still to be given",
    change: (now) => ({
      ...now,
      disks: [...now.disks, { ...serving(now, {}).disks[0], pdskid: 77 } as never],
    }),
    says: "ssvr-00000001 serves pdsk-0000004d, an id that was never given",
  },
  {
    what: "an epoch that is still to come",
    change: (now) => granting(now, { epoch: 9 }),
    says: "ssvr-00000001 knows epoch 9 of lvol-00000004, which is at 1",
  },
  {
    what: "no grant for a member that counts",
    change: (now) => ({ ...now, grants: [] }),
    says: "is an INSYNC member of lvol-00000004, which is attached, but ssvr-00000001 does not let epoch 1 use it",
  },
  {
    what: "a grant that lacks a member that counts",
    change: (now) => granting(now, { extents: [] }),
    says: "is an INSYNC member of lvol-00000004, which is attached, but ssvr-00000001 does not let epoch 1 use it",
  },
  {
    what: "a grant of a past epoch",
    change: (now) => granting(now, { epoch: 0 }),
    says: "ssvr-00000001 lets epoch 0 of lvol-00000004 write dext-00000009, but that epoch is closed",
  },
  {
    what: "a grant of a volume that never was",
    change: (now) => ({ ...now, grants: [...now.grants, ...granting(now, { lvolid: 99 }).grants] }),
    says: "ssvr-00000001 lets epoch 1 of lvol-00000063 write dext-00000009, but there is no such volume",
  },
  {
    what: "an extent at another place",
    change: (now) => granting(now, {}, { offset: 2 }),
    says: "lets lvol-00000004 write dext-00000009 at 2 GB of pdsk-00000001, which is 1 GB at 0 GB of pdsk-00000001",
  },
  {
    what: "an extent of another generation",
    change: (now) => granting(now, {}, { generation: 1 }),
    says: "under generation 1, but it has 2",
  },
  {
    what: "an extent of free space",
    change: (now) => granting(now, {}, { dextid: 66, offset: 2 }),
    says: "lets lvol-00000004 write dext-00000042 at 2 GB of pdsk-00000001, which the server does not have",
  },
  {
    what: "a newer generation of an extent",
    change: (now) => ({ ...now, runs: [run(0, 3, false)] }),
    says: "dext-00000009 has generation 2, but its server knows 3 at 0 GB of pdsk-00000001",
  },
  {
    what: "a newer generation than any that was given out",
    change: (now) => ({ ...now, runs: [run(3, 9, true)] }),
    says: "pdsk-00000001 has generation 9 at 3 GB, but only 2 were given out",
  },
  {
    what: "free space that was written",
    change: (now) => ({ ...now, runs: [run(2, 1, false)] }),
    says: "2..3 GB of pdsk-00000001 count as clean, but their server may have let them be written under generation 1",
  },
];

test.each(damages)("$what is a difference", async ({ change, says }) => {
  const attached = await attachedVolume();
  const found = await differences(attached.state, change(await holdingsNow(attached), attached));
  expect(
    found.some((sentence) => sentence.includes(says)),
    found.join("\n"),
  ).toBe(true);
});

test("the space of a volume that was never attached counts as clean", async () => {
  const attached = await attachedVolume();
  const { state } = attached;
  await state.run(createVolume, { lvolname: "fresh", capacity: 1, redundancy: 3 });
  const now = await holdingsNow(attached);
  const found = await differences(state, { ...now, runs: [run(1, 1, false)] });
  expect(found).toEqual([expect.stringContaining("1..2 GB of pdsk-00000001 count as clean")]);
});

test("an extent that belongs to another volume is a difference, one that was never attached too", async () => {
  const attached = await attachedVolume();
  const { state, hsvrid } = attached;
  const now = await holdingsNow(attached);
  const lvolid = await state.run(createVolume, { lvolname: "other", capacity: 1, redundancy: 3 });
  const [theirs] = [...(await viewOf(state, now)).extents.values()].filter(
    (extent) => extent.lvolid === lvolid,
  );
  if (theirs === undefined) throw new Error("the other volume has no extent on the first server");
  const { dextid, offset, generation } = theirs;
  const wrong = granting(now, {}, { dextid, offset, generation });
  expect(await differences(state, wrong)).toContainEqual(
    expect.stringContaining("which is not the volume's"),
  );

  const mine = { ...wrong, grants: wrong.grants.map((grant) => ({ ...grant, lvolid })) };
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  await state.run(finishAttach, { jobid, lvolid });
  const both = { ...now, grants: [...now.grants, ...mine.grants] };
  expect(await differences(state, both)).toEqual([]);
});

test("while a volume is attached or detached nothing is told of its grants", async () => {
  const attached = await attachedVolume();
  const { state, lvolid } = attached;
  const before = await holdingsNow(attached);
  await state.run(beginDetach, { lvolid });
  expect(await differences(state, { ...before, grants: [] })).toEqual([]);
  expect(await differences(state, granting(before, { epoch: 0 }))).toEqual([]);
});

test("after a detach its epoch may write where its server could not be asked, until that is made good", async () => {
  const attached = await attachedVolume();
  const { state, lvolid } = attached;
  const before = await holdingsNow(attached);
  const jobid = (await state.run(beginDetach, { lvolid })) ?? 0;
  await state.claim("detach");
  await state.run(finishDetach, { jobid, lvolid, unreached: [SSVRID] });
  expect(await differences(state, before)).toEqual([]);

  await state.run(recordRevoked, { ssvrid: SSVRID, lvolid, epoch: 1 });
  expect(await differences(state, before)).toEqual([
    "ssvr-00000001 lets epoch 1 of lvol-00000004 write dext-00000009, but that epoch is closed",
  ]);
  expect(await differences(state, { ...before, grants: [] })).toEqual([]);
});

test("a failed attach keeps its grants until it is detached", async () => {
  const attached = await attachedVolume();
  const { state, lvolid, hsvrid } = attached;
  await detach(state, lvolid);
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  const granted = await holdingsNow(attached);
  await state.run(failAttach, { jobid, lvolid, error: new VasError("EIO", "no") });
  expect(await differences(state, granted)).toEqual([]);
  await detach(state, lvolid);
  expect(await differences(state, granted)).toHaveLength(1);
});

test("what a deleted volume was granted is taken back before its shred, and not told until then", async () => {
  const attached = await attachedVolume();
  const { state, lvolid } = attached;
  await detach(state, lvolid);
  const old = await holdingsNow({ ...attached });
  await state.run(deleteVolume, { lvolid });
  expect(await differences(state, old)).toEqual([]);
  await state.finishShreds();
  const { length } = await differences(state, old);
  // It may write what is free, which is written.
  expect(length).toBe(2);
});

test("a member that was given up may be written until it is shredded, by the open epoch and by a closed one", async () => {
  const attached = await attachedVolume();
  const { state, lvolid, mirrorid } = attached;
  await state.addServer(4, 4);
  const before = await holdingsNow(attached);
  const dextid = before.grants[0]?.extents[0]?.dextid ?? 0;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  expect(await differences(state, before)).toEqual([]);
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: dextid });
  await healAll(state);
  expect((await viewOf(state, before)).extents.get(dextid)?.status).toBe(MemberStatus.NEEDSHRED);
  expect(await differences(state, before)).toEqual([]);
  await detach(state, lvolid);
  expect(await differences(state, before)).toEqual([]);
});

test("a disk that was deleted, and whose server has not heard so, is told apart from a difference", async () => {
  const attached = await attachedVolume();
  const { state, lvolid } = attached;
  const before = await holdingsNow(attached);
  await detach(state, lvolid);
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: PDSKID });
  await state.run(deletePhysicalDisk, { pdskid: PDSKID });
  expect(await differences(state, before)).toEqual([]);
  expect(deletedDisks(await viewOf(state, before), before)).toEqual([PDSKID]);
});
