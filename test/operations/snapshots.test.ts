import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { dropUnaskedMembers } from "../../manager/operations/drop-unasked-members.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import { closeDetached, finishDetach } from "../../manager/operations/end-detach.js";
import {
  finishSnapshot,
  finishSnapshotDeletion,
  finishSnapshotUndo,
  giveUpSnapshot,
  readSnapshot,
  refuseSnapshotDeletion,
} from "../../manager/operations/end-snapshot.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listVolumes, showVolume } from "../../manager/operations/list-volumes.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import { readClusterStatus } from "../../manager/operations/read-cluster-status.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { getSnapshots, reportSnapshotFailure } from "../../manager/operations/report-snapshot.js";
import { VasError } from "../../shared/errors.js";
import { linearOf, type SnapshotNode, type VolumeNode } from "../../shared/layout-tree.js";
import { snapshotCapacity } from "../../shared/snapshot-space.js";
import { FailureTarget, MemberStatus, VolumeType } from "../../shared/states.js";
import { type Attached, attachedVolume } from "./attached.js";

const nobody: ReadonlySet<number> = new Set();

async function begin({ state, lvolid }: Attached, name: string) {
  const begun = await state.run(createSnapshot, { origin_lvolid: lvolid, snapshot_lvolname: name });
  return { lvolid: begun.lvolid, jobid: begun.jobid ?? 0 };
}

/** A snapshot of the attached volume, as its head has taken it. */
async function taken(attached: Attached, name: string): Promise<number> {
  const snapshot = await begin(attached, name);
  await attached.state.claim("create-snapshot");
  await attached.state.run(finishSnapshot, snapshot);
  return snapshot.lvolid;
}

async function beginDeletion({ state }: Attached, lvolid: number) {
  const jobid = await state.run(deleteVolume, { lvolid });
  await state.claim("delete-snapshot");
  return { lvolid, jobid: jobid ?? 0 };
}

async function detach({ state, lvolid }: Attached): Promise<void> {
  const jobid = await state.run(beginDetach, { lvolid });
  await state.claim("detach");
  await state.run(closeDetached, { jobid: jobid ?? 0, lvolid });
  await state.run(finishDetach, { jobid: jobid ?? 0, lvolid });
}

const attachedSnapshots = async ({ state, lvolid }: Attached): Promise<number[]> => {
  const tree = (await state.run(readAttachment, { lvolid }))?.tree;
  return tree?.lvolspec.assoc.map((node) => node.lvolid) ?? [];
};

async function volumeOf(state: Attached["state"], lvolid: number) {
  const [found] = await state.run(listVolumes, { lvolid });
  if (found === undefined) throw new Error("the list is empty");
  return found;
}

test.each([
  [1, 2],
  [10, 11],
  [100, 101],
  [1000, 1001],
  [2000, 2002],
])("a snapshot of %i GB needs %i GB", (origin, space) => {
  expect(snapshotCapacity(origin)).toBe(space);
});

test("a snapshot of a detached volume is there at once, with a linear of its own, and shown with its origin", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid } = attached;
  await detach(attached);
  const snapshot = await begin(attached, "s");
  expect(snapshot.jobid).toBe(0);
  expect(await volumeOf(state, snapshot.lvolid)).toMatchObject({
    lvolname: "s",
    capacity: 2,
    redundancy: 3,
    hsvrid: 0,
    associated_to: [{ lvolid, type: "snapshot" }],
    associated_from: [],
    fault: false,
    snapshot_status: "VALID",
  });
  expect(await volumeOf(state, lvolid)).toMatchObject({
    associated_to: [],
    associated_from: [{ lvolid: snapshot.lvolid, type: "snapshot" }],
    snapshot_status: "",
  });
  const origin = (await state.run(showVolume, { lvolid })) as VolumeNode;
  const [top] = origin.components;
  expect(top.lvoltype).toBe(VolumeType.SNAPSHOT_ORIGIN);
  const [layer] = ((await state.run(showVolume, { lvolid: snapshot.lvolid })) as SnapshotNode).components;
  expect(layer).toMatchObject({ lvoltype: VolumeType.SNAPSHOT, lvolspec: { origin_lvolid: top.lvolid } });
  expect(origin.lvolspec.assoc).toMatchObject([{ lvolid: snapshot.lvolid, components: [layer] }]);
  expect(linearOf(origin).components).toHaveLength(1);
  expect(layer.components[0].components.map(({ capacity }) => capacity)).toEqual([1, 1]);
  expect(await state.findings()).toEqual([]);
});

test("what can't be the origin of a snapshot is refused with a sentence, and changes nothing", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid, hsvrid } = attached;
  const snapshot = await taken(attached, "s");
  const before = await state.run(listVolumes, {});
  const wrong = [
    [{ origin_lvolid: snapshot }, "EINVAL", "is a snapshot"],
    [{}, "EINVAL", "origin_lvolid"],
    [{ origin_lvolid: 999 }, "ENOENT", "lvol-000003e7"],
    [{ origin_lvolname: "other" }, "ENOENT", "other"],
    [{ origin_lvolid: lvolid, snapshot_lvolname: "v" }, "EEXIST", '"v"'],
    [{ origin_lvolid: lvolid, snapshot_lvolname: "s" }, "EEXIST", '"s"'],
  ] as const;
  for (const [params, errno, words] of wrong) {
    const call = state.run(createSnapshot, { snapshot_lvolname: "new", ...params });
    await expect(call).rejects.toMatchObject({ errno, sentence: expect.stringContaining(words) });
  }
  await expect(state.run(beginAttach, { lvolid: snapshot, hsvrid })).rejects.toMatchObject({
    errno: "EINVAL",
  });
  await expect(state.run(beginDetach, { lvolid: snapshot })).rejects.toMatchObject({ errno: "EINVAL" });
  expect(await state.run(listVolumes, {})).toEqual(before);
});

test("there is no room for the copy-on-write space: ENOSPC, and nothing is taken", async () => {
  const attached = await attachedVolume();
  const { state } = attached;
  const available = async () =>
    (
      await state.run(readClusterStatus, {
        cluster: "",
        serial: 1,
        notices: [],
        progressOf: () => -1,
      })
    ).capacity.available;
  await state.run(createVolume, { lvolname: "big", capacity: 2, redundancy: 3 });
  const before = await available();
  await expect(begin(attached, "s")).rejects.toMatchObject({ errno: "ENOSPC" });
  expect(await available()).toBe(before);
  expect(await state.findings()).toEqual([]);
});

test("a snapshot of an attached volume is granted before its head is told, and served by the attachment once taken", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid } = attached;
  const snapshot = await begin(attached, "s");
  expect((await volumeOf(state, snapshot.lvolid)).snapshot_status).toBe("CREATING");
  expect(await attachedSnapshots(attached)).toEqual([]);
  const plan = await state.run(readSnapshot, { lvolid: snapshot.lvolid, epoch: 1 });
  const space = linearOf(plan?.tree as SnapshotNode).components.flatMap(({ components }) => components);
  expect(space.every((extent) => extent.mirror_status === MemberStatus.INSYNC)).toBe(true);
  const granted = plan?.grants.flatMap(({ extents }) => extents.map(({ dextid }) => dextid)) ?? [];
  expect(granted).toEqual(expect.arrayContaining([...attached.dextids, ...space.map((node) => node.lvolid)]));
  for (const call of [state.run(beginDetach, { lvolid }), state.run(beginDetach, { lvolname: "v" })])
    await expect(call).rejects.toMatchObject({ errno: "EAGAIN" });
  await expect(state.run(deleteVolume, { lvolid: snapshot.lvolid })).rejects.toMatchObject({
    errno: "EBUSY",
  });
  await state.claim("create-snapshot");
  await state.run(finishSnapshot, snapshot);
  expect(await attachedSnapshots(attached)).toEqual([snapshot.lvolid]);
  expect(await volumeOf(state, snapshot.lvolid)).toMatchObject({
    snapshot_status: "VALID",
    bind_status: 1,
    hsvrid: attached.hsvrid,
  });
  expect(await state.findings()).toEqual([]);
});

test("a snapshot that was not taken is undone without a trace, and its space waits for its shred", async () => {
  const attached = await attachedVolume(3, 12);
  const { state } = attached;
  const snapshot = await begin(attached, "s");
  await state.claim("create-snapshot");
  const error = new VasError("ETIMEDOUT", "the writes did not drain");
  expect(await state.run(giveUpSnapshot, { ...snapshot, error })).toMatchObject({ phase: "undo" });
  await state.run(finishSnapshotUndo, { ...snapshot, error });
  expect((await state.run(listVolumes, {})).map(({ lvolname }) => lvolname)).toEqual(["v"]);
  expect(await state.findings()).toEqual([]);
  await begin(attached, "s");
});

test("while an attached snapshot is deleted the list omits it, its name is taken and its origin can't be detached", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid } = attached;
  const snapshot = await taken(attached, "s");
  await expect(state.run(deleteVolume, { lvolid })).rejects.toMatchObject({ errno: "EBUSY" });
  const deletion = await beginDeletion(attached, snapshot);
  expect((await state.run(listVolumes, {})).map((row) => row.lvolid)).toEqual([lvolid]);
  expect((await volumeOf(state, lvolid)).associated_from).toEqual([]);
  expect((await volumeOf(state, snapshot)).snapshot_status).toBe("DELETING");
  const again = state.run(createVolume, { lvolname: "s", capacity: 1, redundancy: 2 });
  await expect(again).rejects.toMatchObject({ errno: "EEXIST" });
  await expect(state.run(beginDetach, { lvolid })).rejects.toMatchObject({ errno: "EAGAIN" });
  await expect(state.run(deleteVolume, { lvolid: snapshot })).rejects.toMatchObject({ errno: "EBUSY" });
  expect(await state.findings()).toEqual([]);
  await state.run(finishSnapshotDeletion, deletion);
  await expect(state.run(listVolumes, { lvolid: snapshot })).rejects.toMatchObject({ errno: "ENOENT" });
  expect(await state.findings()).toEqual([]);
});

test("a snapshot that a client uses is as before after its deletion was refused, lost or not", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid } = attached;
  const error = new VasError("EBUSY", "1 client(s) have the snapshot open");
  for (const [name, status] of [
    ["s", "VALID"],
    ["t", "INVALID"],
  ] as const) {
    const snapshot = await taken(attached, name);
    const deletion = await beginDeletion(attached, snapshot);
    const loss = { lvolid, epoch: 1, snapshot_lvolid: snapshot, reason: "its space failed" };
    if (status === "INVALID") await state.run(reportSnapshotFailure, loss);
    await state.run(refuseSnapshotDeletion, { ...deletion, error });
    expect((await volumeOf(state, snapshot)).snapshot_status).toBe(status);
    await beginDeletion(attached, snapshot).then((next) => state.run(finishSnapshotDeletion, next));
  }
});

test("a snapshot that can't be kept is INVALID, said in lists and status, and not served by the next attachment", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid } = attached;
  const [lost, kept] = [await taken(attached, "lost"), await taken(attached, "kept")];
  const report = { lvolid, epoch: 1, snapshot_lvolid: lost, reason: "its space failed" };
  await state.run(reportSnapshotFailure, report);
  await state.run(reportSnapshotFailure, report);
  await expect(state.run(reportSnapshotFailure, { ...report, epoch: 0 })).rejects.toMatchObject({
    errno: "ESTALE",
  });
  await expect(
    state.run(reportSnapshotFailure, { ...report, snapshot_lvolid: lvolid }),
  ).rejects.toMatchObject({ errno: "ENOENT" });
  expect(await volumeOf(state, lost)).toMatchObject({ snapshot_status: "INVALID", fault: true });
  expect(await volumeOf(state, lvolid)).toMatchObject({ fault: false });
  expect(await state.run(getSnapshots, { lvolid, epoch: 1 })).toEqual([
    { snapshot_lvolid: lost, snapshot_status: "INVALID" },
    { snapshot_lvolid: kept, snapshot_status: "VALID" },
  ]);
  expect(await attachedSnapshots(attached)).toEqual([kept]);
  const status = await state.run(readClusterStatus, {
    cluster: "",
    serial: 1,
    notices: [],
    progressOf: () => -1,
  });
  expect(status.notices).toEqual([expect.stringContaining("snapshot lost is INVALID")]);
  await detach(attached);
  expect(await attachedSnapshots(attached)).toEqual([kept]);
  expect(await state.run(deleteVolume, { lvolid: lost })).toBeUndefined();
});

test("members of a snapshot are reported and healed through its origin's attachment", async () => {
  const attached = await attachedVolume(4, 12);
  const { state, lvolid } = attached;
  const snapshot = await taken(attached, "s");
  const tree = (await state.run(showVolume, { lvolid: snapshot })) as SnapshotNode;
  const [mirror] = linearOf(tree).components;
  const [extent] = mirror?.components ?? [];
  if (mirror === undefined || extent === undefined) throw new Error("the snapshot has no mirror");
  const report = {
    epoch: 1,
    mirrorid: mirror.lvolid,
    dextid: extent.lvolid,
    version: mirror.lvolspec.version,
  };
  await expect(state.run(reportMemberFailure, { ...report, lvolid: snapshot })).rejects.toMatchObject({
    errno: "ESTALE",
  });
  await state.run(reportMemberFailure, { ...report, lvolid });
  expect(await volumeOf(state, snapshot)).toMatchObject({ fault: true, snapshot_status: "VALID" });
  await state.run(healMirror, { mirrorid: mirror.lvolid, silentTooLong: nobody });
  expect((await state.claim("resync")).length).toBe(1);
  expect(await state.findings()).toEqual([]);
});

test("a server that can't be asked holds up an attach for a snapshot's last copy, unless that was declared lost", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid, hsvrid } = attached;
  const snapshot = await taken(attached, "s");
  await detach(attached);
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  const mirror = linearOf((await state.run(showVolume, { lvolid: snapshot })) as SnapshotNode).components[0];
  const servers = mirror?.components.map((node) => node.lvolspec.ssvrid) ?? [];
  const [only = 0, ...others] = servers;
  await state.run(dropUnaskedMembers, { jobid, lvolid, ssvrids: others });
  // The origin has copies on the same servers, so only the snapshot's mirrors are looked at here.
  const drop = { jobid, lvolid, ssvrids: [only], snapshot };
  await expect(state.run(dropUnaskedMembers, drop)).rejects.toMatchObject({
    errno: "EHOSTDOWN",
    sentence: expect.stringContaining("delete the snapshot"),
  });
  await state.run(notifyFailure, { target: FailureTarget.SSVR, targetid: only });
  await state.run(dropUnaskedMembers, drop);
  expect((await volumeOf(state, snapshot)).snapshot_status).toBe("INVALID");
});

test("a head that is fenced while it takes or ends a snapshot has nothing more to say of it", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, hsvrid } = attached;
  const old = await taken(attached, "old");
  const created = await begin(attached, "new");
  await state.claim("create-snapshot");
  const deletion = await beginDeletion(attached, old);
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  for (const lvolid of [created.lvolid, old])
    expect((await state.run(readSnapshot, { lvolid, epoch: 1 }))?.head).toBeUndefined();
  const error = new VasError("EHOSTDOWN", "fenced");
  await state.run(giveUpSnapshot, { ...created, error });
  await state.run(finishSnapshotUndo, { ...created, error });
  await state.run(finishSnapshotDeletion, deletion);
  expect(await state.findings()).toEqual([]);
});

/** The head is fenced, and the volume attached at another one. */
async function moveElsewhere({ state, lvolid, hsvrid }: Attached): Promise<void> {
  const other = await state.addHead(2);
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  const [fence] = await state.claim("fence");
  await state.run(finishDetach, { jobid: fence?.jobid ?? 0, lvolid });
  const jobid = await state.run(beginAttach, { lvolid, hsvrid: other });
  await state.claim("attach");
  await state.run(finishAttach, { jobid, lvolid });
}

test("what the head of a past attachment says of a snapshot does not count: the new one does not keep it", async () => {
  const attached = await attachedVolume(3, 12);
  const { state } = attached;
  const old = await taken(attached, "old");
  const created = await begin(attached, "new");
  await state.claim("create-snapshot");
  const deletion = await beginDeletion(attached, old);
  await moveElsewhere(attached);
  expect(await attachedSnapshots(attached)).toEqual([]);
  await expect(state.run(finishSnapshot, created)).rejects.toMatchObject({ errno: "EHOSTDOWN" });
  const error = new VasError("EBUSY", "1 client(s) have the snapshot open");
  await expect(state.run(refuseSnapshotDeletion, { ...deletion, error })).rejects.toMatchObject({
    errno: "EHOSTDOWN",
  });
  expect((await volumeOf(state, created.lvolid)).snapshot_status).toBe("CREATING");
  expect((await volumeOf(state, old)).snapshot_status).toBe("DELETING");
});

test("a fence does not wait for the last copy of a snapshot, and the snapshot can be deleted meanwhile", async () => {
  const attached = await attachedVolume(3, 12);
  const { state, lvolid, hsvrid } = attached;
  const snapshot = await taken(attached, "s");
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  const [fence] = await state.claim("fence");
  const jobid = fence?.jobid ?? 0;
  const mirror = linearOf((await state.run(showVolume, { lvolid: snapshot })) as SnapshotNode).components[0];
  const [only = 0, ...others] = mirror?.components.map((node) => node.lvolspec.ssvrid) ?? [];
  await state.run(dropUnaskedMembers, { jobid, lvolid, ssvrids: others, isFence: true });
  // Of the snapshot alone: the origin has its last copy there as well.
  await state.run(dropUnaskedMembers, { jobid, lvolid, ssvrids: [only], isFence: true, snapshot });
  expect((await volumeOf(state, snapshot)).snapshot_status).toBe("VALID");
  expect(await state.run(deleteVolume, { lvolid: snapshot })).toBeUndefined();
  expect(await state.findings()).toEqual([]);
});
