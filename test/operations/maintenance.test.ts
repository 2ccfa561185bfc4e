import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { beginMaintenance } from "../../manager/operations/begin-maintenance.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import {
  endIdleMaintenance,
  failMaintenance,
  finishMaintenance,
  readLeavingHead,
} from "../../manager/operations/end-maintenance.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listVolumes } from "../../manager/operations/list-volumes.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import { reportMemberFailure, reportMemberInSync } from "../../manager/operations/report-member.js";
import { retryResync } from "../../manager/operations/resync-member.js";
import { shutdownAll } from "../../manager/operations/shutdown-all.js";
import { markSilent } from "../../manager/operations/watch-servers.js";
import { VasError } from "../../shared/errors.js";
import { BindEvent, BindStatus, FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll, nobody, placeOf } from "./heal-all.js";

const { INSYNC, SPARE } = MemberStatus;

/** A detached volume with a member that is out of sync; `ready` = its attachment for maintenance has been made. */
async function degraded({ ready = true } = {}): Promise<Attached & { readonly jobid: number }> {
  const volume = await attachedVolume(4, 8);
  const { state, lvolid, mirrorid } = volume;
  const [dextid] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  await detach(state, lvolid);
  expect(await state.run(healMirror, { mirrorid, silentTooLong: nobody })).toMatchObject({
    wantsHead: lvolid,
  });
  expect(await state.run(beginMaintenance, { lvolid, silentTooLong: nobody })).toBe(volume.hsvrid);
  const [attach] = await state.claim("attach");
  const jobid = attach?.jobid ?? 0;
  if (ready) await state.run(finishAttach, { jobid, lvolid });
  return { ...volume, jobid };
}

async function bindingOf({ state, lvolid }: Attached) {
  const attachment = await state.run(readAttachment, { lvolid });
  const { bind_status, bind_event, hsvrid, epoch, epoch_open, maintenance } = attachment?.volume ?? {};
  return { bind_status, bind_event, hsvrid, epoch, epoch_open, maintenance };
}

const DETACHED = {
  bind_status: BindStatus.UNBOUND,
  bind_event: BindEvent.NONE,
  hsvrid: null,
  epoch_open: 0,
  maintenance: 0,
};

test("a detached volume is healed by a head of which users are shown nothing, and which then leaves", async () => {
  const volume = await degraded();
  const { state, lvolid, hsvrid } = volume;
  expect(await bindingOf(volume)).toMatchObject({ bind_status: BindStatus.BOUND, hsvrid, maintenance: 1 });
  const shown = { hsvrid: 0, bind_status: BindStatus.UNBOUND, bind_event: BindEvent.NONE, bind_error: "" };
  expect(await state.run(listVolumes, { lvolid })).toMatchObject([shown]);
  expect(await state.run(beginDetach, { lvolid })).toBeUndefined();

  await state.run(healMirror, { mirrorid: volume.mirrorid, silentTooLong: nobody });
  expect(await state.run(endIdleMaintenance, { lvolid, wanted: false })).toBe(false);
  await healAll(state);
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC, INSYNC]);
  expect(await state.run(endIdleMaintenance, { lvolid, wanted: false })).toBe(true);
  expect(await bindingOf(volume)).toMatchObject(DETACHED);

  const [job] = await state.claim("end-maintenance");
  expect(JSON.parse(job?.payload ?? "")).toEqual({ epoch: 2, hsvrid });
  expect(await state.run(beginMaintenance, { lvolid, silentTooLong: nobody })).toBeUndefined();
  expect(await state.run(readLeavingHead, { lvolid, hsvrid })).toMatchObject({ isUp: true });
  await state.run(finishMaintenance, { jobid: job?.jobid ?? 0, lvolid, epoch: 2, unreached: [] });
  expect(await state.findings()).toEqual([]);
});

test.each([{ ready: true }, { ready: false }])(
  "a user's attach takes the volume at once, and refuses what the earlier head reports ($ready)",
  async (how) => {
    const volume = await degraded(how);
    const { state, lvolid, mirrorid } = volume;
    const [dextid] = volume.dextids;
    const other = await state.addHead(2);
    await state.run(beginAttach, { lvolid, hsvrid: other });
    expect(await bindingOf(volume)).toMatchObject({ epoch: 3, epoch_open: 1, hsvrid: other, maintenance: 0 });
    const late = { lvolid, epoch: 2, mirrorid, dextid, version: 2 };
    await expect(state.run(reportMemberInSync, late)).rejects.toMatchObject({ errno: "ESTALE" });
    expect((await statusesOf(state, lvolid)).get(dextid)).toBe(SPARE);
    const [job] = await state.claim("end-maintenance");
    await state.run(finishMaintenance, { jobid: job?.jobid ?? 0, lvolid, epoch: 2, unreached: [] });
    expect(await bindingOf(volume)).toMatchObject({ epoch: 3, epoch_open: 1, hsvrid: other });
    expect(await state.findings()).toEqual([]);
  },
);

test("what users do to a volume finds it detached", async () => {
  const taken = await degraded();
  const snapshot = { origin_lvolid: taken.lvolid, snapshot_lvolname: "s" };
  expect(await taken.state.run(createSnapshot, snapshot)).toMatchObject({ jobid: undefined });
  expect(await bindingOf(taken)).toMatchObject(DETACHED);
  expect(await taken.state.findings()).toEqual([]);

  const deleted = await degraded();
  expect(await deleted.state.run(deleteVolume, { lvolid: deleted.lvolid })).toBeUndefined();
  expect(await deleted.state.claim("end-maintenance")).toEqual([]);
  await deleted.state.finishShreds();
  expect(await deleted.state.findings()).toEqual([]);

  const down = await degraded();
  expect(await down.state.run(shutdownAll, {})).toBe(0);
  expect(await bindingOf(down)).toMatchObject(DETACHED);
  expect(await down.state.findings()).toEqual([]);
});

test("a disk with a good copy that a head reads for maintenance can be deleted", async () => {
  const volume = await degraded();
  const { state } = volume;
  const { pdskid } = await placeOf(volume, volume.dextids[1]);
  await state.run(notifyFailure, { target: FailureTarget.PDSK, targetid: pdskid });
  expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
  expect(await bindingOf(volume)).toMatchObject(DETACHED);
  expect(await state.findings()).toEqual([]);
});

test("a head that fails or falls silent leaves the volume to another one, without a fence", async () => {
  for (const lose of ["silent", "failed"] as const) {
    const volume = await degraded();
    const { state, lvolid, hsvrid } = volume;
    const other = await state.addHead(2);
    if (lose === "silent") await state.run(markSilent, { kind: "head", id: hsvrid });
    else await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
    expect(await bindingOf(volume)).toMatchObject(DETACHED);
    const [job, ...others] = await state.claimAll();
    expect([job?.kind, others]).toEqual(["end-maintenance", []]);
    await state.run(finishMaintenance, { jobid: job?.jobid ?? 0, lvolid, epoch: 2, unreached: [] });
    expect(await state.run(beginMaintenance, { lvolid, silentTooLong: nobody })).toBe(other);
    expect(await bindingOf(volume)).toMatchObject({ hsvrid: other, epoch: 3, maintenance: 1 });
    expect(await state.findings()).toEqual([]);
  }
});

test("an attach for maintenance that fails leaves the volume detached, and says nothing to users", async () => {
  const volume = await degraded({ ready: false });
  const { state, lvolid, jobid } = volume;
  await state.run(failMaintenance, { jobid, lvolid, error: new VasError("EIO", "the head could not") });
  expect(await bindingOf(volume)).toMatchObject(DETACHED);
  expect(await state.run(listVolumes, { lvolid })).toMatchObject([{ bind_error: "" }]);
  expect(await state.findings()).toEqual([]);
});

test("no head is given to a volume at the price of a copy whose server may be back", async () => {
  const volume = await attachedVolume(4, 8);
  const { state, lvolid, hsvrid, mirrorid } = volume;
  const [dextid, away] = volume.dextids;
  await state.run(reportMemberFailure, { lvolid, epoch: 1, mirrorid, dextid, version: 1 });
  await detach(state, lvolid);
  const { ssvrid } = await placeOf(volume, away);
  await state.run(markSilent, { kind: "storage", id: ssvrid });
  expect(await state.run(beginMaintenance, { lvolid, silentTooLong: nobody })).toBeUndefined();
  const silentTooLong = new Set([ssvrid]);
  expect(await state.run(beginMaintenance, { lvolid, silentTooLong })).toBe(hsvrid);
});

test("a head that can't reach a copy of a volume that it only maintains does not cost that copy", async () => {
  const volume = await degraded();
  const { state, lvolid, mirrorid } = volume;
  const [, dextid] = volume.dextids;
  const report = { lvolid, epoch: 2, mirrorid, dextid, version: 2 };
  await expect(state.run(reportMemberFailure, report)).rejects.toMatchObject({ errno: "ESTALE" });
  expect((await statusesOf(state, lvolid)).get(dextid)).toBe(INSYNC);
  // One that was declared failed it is to do without.
  await state.run(notifyFailure, { target: FailureTarget.LVOL, targetid: dextid });
  await state.run(reportMemberFailure, report);
  expect((await statusesOf(state, lvolid)).get(dextid)).toBe(SPARE);
});

test("another head is tried after one that could not, and a volume whose resyncs fail again and again gives way", async () => {
  const volume = await degraded({ ready: false });
  const { state, lvolid, jobid, hsvrid, mirrorid } = volume;
  const other = await state.addHead(2);
  await state.run(failMaintenance, { jobid, lvolid, error: new VasError("EIO", "the head could not") });
  const [end] = await state.claim("end-maintenance");
  await state.run(finishMaintenance, { jobid: end?.jobid ?? 0, lvolid, epoch: 2, unreached: [] });
  expect(await state.run(beginMaintenance, { lvolid, silentTooLong: nobody, avoid: hsvrid })).toBe(other);
  const [attach] = await state.claim("attach");
  await state.run(finishAttach, { jobid: attach?.jobid ?? 0, lvolid });

  await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const [dextid] = volume.dextids;
  const error = new VasError("EAGAIN", "the source can't be read");
  for (let attempts = 1; attempts <= 4; attempts += 1) {
    expect(await state.run(endIdleMaintenance, { lvolid, wanted: true })).toBe(false);
    const [resync] = await state.claim("resync");
    const failed = { jobid: resync?.jobid ?? 0, dextid, error, attempts, runAt: state.now, counts: false };
    await state.run(retryResync, failed);
  }
  expect(await state.run(endIdleMaintenance, { lvolid, wanted: true })).toBe(true);
  expect(await state.findings()).toEqual([]);
});
