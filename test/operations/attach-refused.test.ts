import { expect, test } from "vitest";
import { BindEvent, BindStatus, EventStatus } from "../../shared/states.js";
import { ended, fault, impatient, playedCluster } from "./played-cluster.js";

test.each([
  { code: 22, text: "EINVAL: no such tree", result: "EINVAL" },
  { code: 1, text: "EPERM: the agent belongs to another cluster", result: "EPERM" },
  { code: 116, text: "ESTALE: a higher epoch was detached", result: "ESTALE" },
  { code: 16, text: "EBUSY: not now", result: "EBUSY" },
  { code: 9_999, text: "what nobody knows", result: "EIO" },
  { code: 500, text: "a defect of the agent", result: "EIO" },
])("a head that refuses with fault $code leaves the volume in ERROR; a detach clears it", async (refusal) => {
  const { state, storage, head, hsvrid, tryAttach, tryDetach, bindingOf } = await playedCluster();
  const { code, text, result } = refusal;
  head.answers.attachLogicalVolume = fault(code, text);
  const sentence = expect.stringContaining(text.replace(/^[A-Z]+: /, ""));
  expect(await tryAttach()).toMatchObject({ result, last_error: sentence });
  expect(await bindingOf()).toMatchObject({
    bind_status: BindStatus.ERROR,
    bind_event: BindEvent.NONE,
    epoch_open: 0,
    hsvrid,
    bind_error: sentence,
  });
  expect(head.calls).not.toContain("detachLogicalVolume");
  expect(await state.findings()).toEqual([]);

  // What may have been granted is taken back before the volume is free (R11).
  await tryDetach();
  expect(head.calls).toContain("detachLogicalVolume");
  for (const agent of storage) expect(agent.calls.at(-1)).toBe("revokeEpoch");
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  head.answers.attachLogicalVolume = () => 0;
  await tryAttach();
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.BOUND, epoch_open: 1 });
  expect(await state.findings()).toEqual([]);
});

test("an error that the head reports later does the same", async () => {
  const { head, tryAttach, bindingOf } = await playedCluster();
  head.answers.waitEvent = () => ended(EventStatus.ERROR, 28, "no room for the socket");
  expect(await tryAttach()).toMatchObject({ result: "ENOSPC", last_error: "no room for the socket" });
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.ERROR, epoch_open: 0 });
});

test("a head that does not answer, or not in time, has its attach undone", async () => {
  const silent = await playedCluster();
  await silent.head.close();
  expect(await silent.tryAttach()).toMatchObject({ result: "EHOSTDOWN" });
  expect(await silent.bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  const slow = await playedCluster(impatient);
  slow.head.answers.waitEvent = () => ended(EventStatus.PROGRESS);
  expect(await slow.tryAttach()).toMatchObject({ result: "ETIMEDOUT" });
  expect(await slow.bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
});

test("a storage server that refuses the grant has the attach undone, and the head never hears of it", async () => {
  const { storage, head, tryAttach, bindingOf } = await playedCluster();
  const [agent] = storage;
  if (agent !== undefined) agent.answers.grantExtents = fault(1, "EPERM: another cluster");
  const job = await tryAttach().catch((error: unknown) => error);
  expect(job).toMatchObject({ result: "EPERM" });
  expect(await bindingOf()).toMatchObject({ bind_status: BindStatus.UNBOUND, hsvrid: null });
  expect(head.calls).toEqual([]);
});
