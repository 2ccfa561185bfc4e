import { expect, test } from "vitest";
import { compareRunning } from "../../manager/domain/compare-running.js";
import { foundAgain } from "../../manager/domain/difference.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { finishSnapshot } from "../../manager/operations/end-snapshot.js";
import { readHead } from "../../manager/operations/read-agent-views.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { reportSnapshotFailure } from "../../manager/operations/report-snapshot.js";
import type { RunningVolume } from "../../shared/methods/agent-methods.js";
import { MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume } from "./attached.js";
import { detach } from "./detached.js";

/** What the volume's head runs when it does what the state says. */
async function runningNow({ state, hsvrid, lvolid }: Attached): Promise<RunningVolume> {
  const view = await state.run(readHead, { hsvrid, lvolids: [lvolid] });
  const volume = view.volumes.get(lvolid);
  if (volume === undefined) throw new Error("there is no volume");
  const stateOf = (status: number): string => (status === MemberStatus.INSYNC ? "insync" : "out");
  return {
    lvolid,
    epoch: volume.epoch,
    state: "serving",
    mirrors: volume.mirrors.map(({ mirrorid, version, members }) => ({
      mirrorid,
      version,
      members: members.map(({ dextid, status }) => ({ dextid, state: stateOf(status) })),
    })),
    snapshots: volume.snapshots.map((snapshot) => ({ lvolid: snapshot.lvolid, state: "active" })),
  };
}

async function differences(attached: Attached, running: readonly RunningVolume[], hsvrid = attached.hsvrid) {
  const lvolids = running.map(({ lvolid }) => lvolid);
  const view = await attached.state.run(readHead, { hsvrid, lvolids });
  return compareRunning(view, running).map(({ sentence }) => sentence);
}

/** With the first member of its first mirror, or of all, in another state. */
function withMember(volume: RunningVolume, state: string): RunningVolume {
  const [mirror, ...mirrors] = volume.mirrors;
  if (mirror === undefined) throw new Error("the volume has no mirror");
  const members = mirror.members.map((member, place) => (place === 0 ? { ...member, state } : member));
  return { ...volume, mirrors: [{ ...mirror, members }, ...mirrors] };
}

async function withSnapshot(attached: Attached): Promise<number> {
  const { state, lvolid } = attached;
  const begun = await state.run(createSnapshot, { snapshot_lvolname: "s", origin_lvolid: lvolid });
  await state.claim("create-snapshot");
  await state.run(finishSnapshot, { jobid: begun.jobid ?? 0, lvolid: begun.lvolid });
  return begun.lvolid;
}

test("a head that runs what is attached to it, with its INSYNC members, is as it should be", async () => {
  const attached = await attachedVolume(3, 8);
  expect(await differences(attached, [await runningNow(attached)])).toEqual([]);
  await withSnapshot(attached);
  expect(await differences(attached, [await runningNow(attached)])).toEqual([]);
});

test("an attached volume that its head does not run is a difference, not while it is detached", async () => {
  const attached = await attachedVolume();
  const now = await runningNow(attached);
  const says = ["lvol-00000004 is attached to hsvr-00000001, which does not run epoch 1 of it"];
  expect(await differences(attached, [])).toEqual(says);
  expect(await differences(attached, [{ ...now, epoch: 0 }])).toEqual([
    "hsvr-00000001 runs epoch 0 of lvol-00000004, but it is at epoch 1",
    ...says,
  ]);
  await attached.state.run(beginDetach, { lvolid: attached.lvolid });
  expect(await differences(attached, [])).toEqual([]);
  expect(await differences(attached, [now])).toEqual([]);
});

test("a volume that a head runs without right is a difference", async () => {
  const attached = await attachedVolume();
  const { state, lvolid } = attached;
  const now = await runningNow(attached);
  const other = await state.addHead(2);
  expect(await differences(attached, [now], other)).toEqual([
    "hsvr-00000002 runs epoch 1 of lvol-00000004, but it is attached to hsvr-00000001",
  ]);
  expect(await differences(attached, [now, { ...now, lvolid: 99 }])).toEqual([
    "hsvr-00000001 runs epoch 1 of lvol-00000063, but there is no such volume",
  ]);
  await detach(state, lvolid);
  expect(await differences(attached, [now])).toEqual([
    "hsvr-00000001 runs epoch 1 of lvol-00000004, but it is attached nowhere",
  ]);
});

test("a member that the head counts and the state does not is a difference, and the other way round", async () => {
  const attached = await attachedVolume();
  const { state, lvolid, mirrorid, dextids } = attached;
  const before = await runningNow(attached);
  for (const used of ["insync", "joining", "failing"])
    expect(await differences(attached, [withMember(before, used)])).toEqual([]);
  for (const unused of ["out", "copying", "preparing"]) {
    expect(await differences(attached, [withMember(before, unused)])).toEqual([
      `dext-00000007 is an INSYNC member of mirr-00000006 of lvol-00000004, but to hsvr-00000001 it is ${unused}`,
    ]);
  }
  expect(await differences(attached, [{ ...before, mirrors: [] }])).toHaveLength(3);

  const [dextid] = dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  expect(await differences(attached, [before])).toEqual([
    "hsvr-00000001 counts dext-00000007 as in sync in mirr-00000006 of lvol-00000004, which is not INSYNC in the database",
  ]);
  for (const unused of ["out", "copying", "preparing", "joining", "failing"])
    expect(await differences(attached, [withMember(before, unused)])).toEqual([]);
});

test("members are not compared before the volume is served", async () => {
  const attached = await attachedVolume();
  const now = withMember(await runningNow(attached), "out");
  for (const state of ["starting", "stopping", "silent"])
    expect(await differences(attached, [{ ...now, state }])).toEqual([]);
});

test("a version that the state never had is a difference", async () => {
  const attached = await attachedVolume();
  const now = await runningNow(attached);
  const ahead = { ...now, mirrors: now.mirrors.map((mirror) => ({ ...mirror, version: 7 })) };
  expect(await differences(attached, [ahead])).toEqual([
    expect.stringContaining("mirr-00000006 of lvol-00000004 is at version 1, but its head knows 7"),
  ]);
});

test("a valid snapshot that its head does not keep is a difference, and one that it makes up", async () => {
  const attached = await attachedVolume(3, 8);
  const lvolid = await withSnapshot(attached);
  const now = await runningNow(attached);
  expect(await differences(attached, [{ ...now, snapshots: [] }])).toEqual([
    expect.stringContaining("is a valid snapshot of lvol-00000004, but hsvr-00000001 does not keep it"),
  ]);
  const more = [...now.snapshots, { lvolid: 99, state: "active" }];
  expect(await differences(attached, [{ ...now, snapshots: more }])).toEqual([
    "hsvr-00000001 keeps lvol-00000063, which is no snapshot of lvol-00000004",
  ]);
  // It has given it up, and is about to say so; then it has said so.
  const invalid = { ...now, snapshots: [{ lvolid, state: "invalid" }], mirrors: now.mirrors.slice(0, 1) };
  expect(await differences(attached, [invalid])).toEqual([]);
  const failure = { lvolid: attached.lvolid, epoch: 1, snapshot_lvolid: lvolid, reason: "no room" };
  await attached.state.run(reportSnapshotFailure, failure);
  expect(await differences(attached, [invalid])).toEqual([]);
  expect(await differences(attached, [{ ...invalid, snapshots: [] }])).toEqual([]);
});

test("a difference counts only if it is found again about the same rows", () => {
  const one = { sentence: "one", stamp: "1" };
  const two = { sentence: "two", stamp: "1" };
  expect(foundAgain([one, two], [two, { ...one, stamp: "2" }])).toEqual([two]);
  expect(foundAgain([one], [])).toEqual([]);
});
