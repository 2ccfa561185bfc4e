import { expect, test } from "vitest";
import { fence } from "../../manager/jobs/handlers/fence.js";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { BindEvent, BindStatus, EventStatus, FailureTarget, MemberStatus } from "../../shared/states.js";
import { statusesOf } from "./attached.js";
import { ended, impatient, playedCluster } from "./played-cluster.js";

const { INSYNC, SPARE } = MemberStatus;

/** A volume that is attached to a head server, of which it then becomes known that it has failed. */
async function failedHead() {
  const cluster = await playedCluster();
  const { state, hsvrid } = cluster;
  await cluster.tryAttach();
  await state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  return cluster;
}

test("a fenced volume is free when its epoch is revoked at every storage server", async () => {
  const { state, storage, handle, bindingOf } = await failedHead();
  await handle("fence", fence);
  for (const agent of storage) expect(agent.calls.at(-1)).toBe("revokeEpoch");
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  expect(await state.findings()).toEqual([]);
});

test("a copy whose server can't be asked in a fence leaves INSYNC before the volume is free", async () => {
  const { state, storage, lvolid, handle, bindingOf } = await failedHead();
  await storage[0]?.close();
  await handle("fence", fence);
  expect([...(await statusesOf(state, lvolid)).values()].sort()).toEqual([INSYNC, SPARE]);
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  expect(await state.findings()).toEqual([]);
});

test("a volume whose head does not confirm a detach stays attached to it", async () => {
  const { state, head, hsvrid, tryAttach, tryDetach, bindingOf } = await playedCluster();
  await tryAttach();
  await head.close();
  expect(await tryDetach()).toMatchObject({ result: "EHOSTDOWN" });
  const attached = { bind_status: BindStatus.BOUND, bind_event: BindEvent.NONE, epoch_open: 1, hsvrid };
  expect(await bindingOf()).toMatchObject(attached);
  expect(await state.findings()).toEqual([]);
});

test("an attach that neither its head nor any storage server takes back keeps the volume from others", async () => {
  const { state, storage, head, hsvrid, lvolid, tryAttach, bindingOf } = await playedCluster(impatient);
  head.answers.waitEvent = () => {
    for (const agent of storage) void agent.close();
    return ended(EventStatus.PROGRESS);
  };
  await expect(tryAttach()).rejects.toMatchObject({ errno: "EHOSTDOWN" });
  expect(await bindingOf()).toMatchObject({ bind_event: BindEvent.BINDING, epoch_open: 0, hsvrid });
  await expect(state.run(beginAttach, { lvolid, hsvrid })).rejects.toMatchObject({ errno: "EBUSY" });
  expect([...(await statusesOf(state, lvolid)).values()]).toEqual([INSYNC, INSYNC]);
  expect(await state.findings()).toEqual([]);
});
