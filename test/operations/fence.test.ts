import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { countBinds } from "../../manager/operations/count-binds.js";
import { dropUnaskedMembers } from "../../manager/operations/drop-unasked-members.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import { listHeadServers } from "../../manager/operations/list-head-servers.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { reportMemberFailure } from "../../manager/operations/report-member.js";
import { BindEvent, BindStatus, FailureTarget, MemberStatus, Priority } from "../../shared/states.js";
import { attachedVolume, statusesOf } from "./attached.js";

async function bindingOf({ state, lvolid }: Awaited<ReturnType<typeof attachedVolume>>) {
  const attachment = await state.run(readAttachment, { lvolid });
  if (attachment === undefined) throw new Error("the volume is gone");
  const { bind_status, bind_event, epoch_open, hsvrid } = attachment.volume;
  return { bind_status, bind_event, epoch_open, hsvrid };
}

test("a failed head's volume can be attached nowhere until its epoch is revoked", async () => {
  const volume = await attachedVolume();
  const { state, lvolid, hsvrid } = volume;
  const other = await state.addHead(2);
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  expect(await bindingOf(volume)).toMatchObject({ bind_event: BindEvent.UNBINDING, epoch_open: 0 });
  await expect(state.run(beginAttach, { lvolid, hsvrid: other })).rejects.toMatchObject({ errno: "EBUSY" });

  const [job] = await state.claim("fence");
  await state.run(finishDetach, { jobid: job?.jobid ?? 0, lvolid });
  expect(await bindingOf(volume)).toMatchObject({
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    hsvrid: null,
  });
  await state.run(beginAttach, { lvolid, hsvrid: other });
  expect(await state.findings()).toEqual([]);
});

test("reporting the same head twice makes one fence", async () => {
  const { state, hsvrid } = await attachedVolume();
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  expect(await state.claim("fence")).toHaveLength(1);
  expect(await state.findings()).toEqual([]);
});

test("a fence that can't ask the last good copy's server waits, and drops nobody", async () => {
  const volume = await attachedVolume();
  const { state, lvolid, mirrorid, hsvrid } = volume;
  const [a, b, c] = volume.dextids;
  const { version } = await state.run(reportMemberFailure, {
    lvolid,
    epoch: 1,
    mirrorid,
    dextid: a,
    version: 1,
  });
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  expect(version).toBe(2);
  const [job] = await state.claim("fence");
  const jobid = job?.jobid ?? 0;
  const attachment = await state.run(readAttachment, { lvolid });
  const serverOf = (dextid: number): number =>
    attachment?.grants.find((grant) => grant.extents.some((extent) => extent.dextid === dextid))?.ssvrid ?? 0;

  const both = { jobid, lvolid, ssvrids: [serverOf(b), serverOf(c)] };
  await expect(state.run(dropUnaskedMembers, both)).rejects.toMatchObject({ errno: "EHOSTDOWN" });
  const statuses = await statusesOf(state, lvolid);
  expect([statuses.get(b), statuses.get(c)]).toEqual([MemberStatus.INSYNC, MemberStatus.INSYNC]);

  await state.run(dropUnaskedMembers, { jobid, lvolid, ssvrids: [serverOf(b)] });
  expect((await statusesOf(state, lvolid)).get(b)).toBe(MemberStatus.SPARE);
});

test("a head that comes back without the volume has it fenced; one that still runs it keeps it", async () => {
  const volume = await attachedVolume();
  const { state, lvolid, hsvrid } = volume;
  const again = { ip_data: ["10.1.0.1"], boot_id: "boot 1" };
  expect(await state.run(registerHeadServer, { ...again, running: [{ lvolid, epoch: 1 }] })).toBe(hsvrid);
  expect(await bindingOf(volume)).toMatchObject({ bind_status: BindStatus.BOUND, epoch_open: 1 });
  await state.run(registerHeadServer, { ...again, running: [] });
  expect(await bindingOf(volume)).toMatchObject({ bind_event: BindEvent.UNBINDING, epoch_open: 0 });
  expect(await state.findings()).toEqual([]);
});

test("a head of the original protocol, without a boot id, gets EEXIST while it is in use", async () => {
  const { state } = await attachedVolume();
  await expect(state.run(registerHeadServer, { ip_data: ["10.1.0.1"] })).rejects.toMatchObject({
    errno: "EEXIST",
  });
});

test("a list of running volumes that was held up does not fence a volume bound after it was made", async () => {
  const volume = await attachedVolume();
  const { state } = volume;
  const late = { ip_data: ["10.1.0.1"], boot_id: "boot 1", running: [], as_of: 0 };
  await state.run(registerHeadServer, late);
  expect(await bindingOf(volume)).toMatchObject({ bind_status: BindStatus.BOUND, epoch_open: 1 });
  await state.run(registerHeadServer, { ...late, as_of: await state.run(countBinds, {}) });
  expect(await bindingOf(volume)).toMatchObject({ bind_event: BindEvent.UNBINDING, epoch_open: 0 });
});

test("a head that was declared failed is not brought back by the next repetition of its registration", async () => {
  const { state, hsvrid } = await attachedVolume();
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  const again = { ip_data: ["10.1.0.1"], boot_id: "boot 1", running: [] };
  await state.run(registerHeadServer, { ...again, starting: false });
  expect(await state.run(listHeadServers, {})).toMatchObject([{ priority: Priority.OFFLINE }]);
  await state.run(registerHeadServer, { ...again, starting: true });
  expect(await state.run(listHeadServers, {})).toMatchObject([{ priority: Priority.HIGH }]);
});

test("a job whose handler ended without a word is taken up again", async () => {
  const { state, hsvrid } = await attachedVolume();
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  const [fence] = await state.claim("fence");
  expect(await state.claim("fence")).toEqual([]);
  state.claimed.delete(fence?.jobid ?? 0);
  expect(await state.claim("fence")).toMatchObject([{ jobid: fence?.jobid }]);
});
