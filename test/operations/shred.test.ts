import { expect, test } from "vitest";
import { shredOrder } from "../../manager/domain/shred-order.js";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { cancelHeldJob, readJob, retryJob } from "../../manager/operations/claim-jobs.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { finishUndo, giveUpAttach } from "../../manager/operations/end-attach.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { beginShreds, finishShred, readShred } from "../../manager/operations/shred-extent.js";
import type { JobRow } from "../../manager/store/jobs.js";
import { VasError } from "../../shared/errors.js";
import { JobStatus } from "../../shared/states.js";
import { attachedVolume } from "./attached.js";
import { detach } from "./detached.js";
import { State, sectorsOf } from "./state.js";

const space = (dextid: number, more: object = {}) => ({
  dextid,
  returned: false,
  clean: 0,
  capacity: 100,
  ...more,
});

test("what was returned on disks short of clean space goes first, apart from that the oldest", () => {
  const short = { returned: true, clean: 24 };
  const roomy = { returned: true, clean: 25 };
  const waiting = [space(50, short), space(20, roomy), space(10), space(40, short), space(30, roomy)];
  expect(shredOrder(waiting).map(({ dextid }) => dextid)).toEqual([40, 50, 10, 20, 30]);
});

test("what is not in need waits for a number of others, and not for ever", () => {
  const waiting = [space(1), space(5_000, { returned: true }), space(20_000, { returned: true })];
  expect(shredOrder(waiting).map(({ dextid }) => dextid)).toEqual([5_000, 1, 20_000]);
});

/** A disk on a new server, with all of its space still to be shredded. */
async function addNewDisk(state: State, number: number, gigabytes: number) {
  const boot_id = `boot ${number}`;
  const ssvrid = await state.run(registerStorageServer, { ip_data: [`10.2.0.${number}`], boot_id });
  return addDisk(state, ssvrid, "/dev/sdb", gigabytes);
}

async function addDisk(state: State, ssvrid: number, local_path: string, gigabytes: number) {
  const capacity = sectorsOf(gigabytes);
  return { ssvrid, pdskid: await state.run(registerPhysicalDisk, { ssvrid, local_path, capacity }) };
}

const planOf = async (state: State, { subject }: JobRow) => {
  const plan = await state.run(readShred, { dextid: subject });
  if (plan === undefined) throw new Error(`nothing to shred in ${subject}`);
  return plan;
};

async function finish(state: State, job: JobRow): Promise<void> {
  const { generation } = await planOf(state, job);
  const { jobid, subject: dextid } = job;
  await state.run(finishShred, { jobid, dextid, generation });
}

const fail = (state: State, { jobid }: JobRow, attempts = 1) =>
  state.run(retryJob, { jobid, attempts, error: "not now", runAt: state.now + 1_000 });

test("the space of a deleted volume goes before a new disk that waits for longer", async () => {
  const { state, lvolid } = await attachedVolume(3, 1, { max_shred_tasks: 1 });
  const { pdskid: newDisk } = await addNewDisk(state, 9, 200);
  await detach(state, lvolid);
  await state.run(deleteVolume, { lvolid });
  const disks: number[] = [];
  for (let turn = 0; turn < 5; turn += 1) {
    expect(await state.run(beginShreds, {})).toBe(1);
    const [job] = await state.claim("shred");
    if (job === undefined) throw new Error("nothing was claimed");
    disks.push((await planOf(state, job)).pdskid);
    await finish(state, job);
  }
  expect(disks.slice(0, 3)).not.toContain(newDisk);
  expect(disks.slice(3)).toEqual([newDisk, newDisk]);
});

test("a piece that failed lets the rest of its disk go first, and has its turn when its pause is over", async () => {
  const state = await State.open({ shred_slice_gb: 1 });
  await addNewDisk(state, 1, 3);
  await state.run(beginShreds, {});
  const [first] = (await state.claim("shred")) as [JobRow];
  expect(await state.run(beginShreds, {})).toBe(0);
  await fail(state, first);
  expect(await state.run(beginShreds, {})).toBe(1);
  const [second] = (await state.claim("shred")) as [JobRow];
  expect(second.subject).not.toBe(first.subject);
  state.now += 1_000;
  // One at a time: the first is due, and waits for the second.
  expect(await state.claim("shred")).toEqual([]);
  await finish(state, second);
  expect(await state.run(beginShreds, {})).toBe(0);
  const [again] = (await state.claim("shred")) as [JobRow];
  expect(again.jobid).toBe(first.jobid);
  await finish(state, again);
  await state.finishShreds();
  expect(await state.findings()).toEqual([]);
});

test("when every piece of a disk fails, a bounded number of them waits", async () => {
  const state = await State.open({ shred_slice_gb: 1 });
  await addNewDisk(state, 1, 100);
  let began = 0;
  while ((await state.run(beginShreds, {})) > 0) {
    began += 1;
    for (const job of await state.claim("shred")) await fail(state, job);
  }
  expect(began).toBe(16);
});

test("the limits of the cluster and of each server hold, also for those that failed and are due again", async () => {
  const state = await State.open({ max_shred_tasks: 3, max_shred_tasks_per_server: 2, shred_slice_gb: 1 });
  const { ssvrid } = await addNewDisk(state, 1, 8);
  for (const name of ["c", "d", "e"]) await addDisk(state, ssvrid, `/dev/sd${name}`, 8);
  await addNewDisk(state, 2, 8);
  await addNewDisk(state, 3, 8);
  const failed: JobRow[] = [];
  for (let round = 0; round < 3; round += 1) {
    expect(await state.run(beginShreds, {})).toBe(3);
    const claimed = await state.claim("shred");
    const plans = await Promise.all(claimed.map((job) => planOf(state, job)));
    expect(plans.filter(({ agent }) => agent.addresses[0] === "10.2.0.1").length).toBeLessThanOrEqual(2);
    for (const job of claimed) await fail(state, job);
    failed.push(...claimed);
  }
  state.now += 1_000;
  const due = await state.claim("shred");
  const servers = await Promise.all(due.map(async (job) => (await planOf(state, job)).agent.addresses[0]));
  expect([due.length, failed.length]).toEqual([3, 9]);
  expect(servers.filter((address) => address === "10.2.0.1").length).toBeLessThanOrEqual(2);
});

test("a shred that is begun anew keeps its generation, which is above that of all that was written there", async () => {
  const { state, lvolid } = await attachedVolume();
  const members = await state.store.transaction((tx) => tx.selectFrom("extent").selectAll().execute());
  await detach(state, lvolid);
  await state.run(deleteVolume, { lvolid });
  await state.run(beginShreds, {});
  const jobs = await state.claim("shred");
  expect(jobs).toHaveLength(3);
  for (const job of jobs) {
    const { generation } = await planOf(state, job);
    expect(generation).toBeGreaterThan(
      members.find(({ dextid }) => dextid === job.subject)?.generation ?? 99,
    );
    await state.run(cancelHeldJob, { jobid: job.jobid, reason: "its server is down" });
    expect((await state.run(readJob, { jobid: job.jobid }))?.status).toBe(JobStatus.CANCELED);
    await state.run(beginShreds, {});
    const [again] = (await state.claim("shred")) as [JobRow];
    expect([again.subject, (await planOf(state, again)).generation]).toEqual([job.subject, generation]);
    await finish(state, again);
  }
  expect(await state.findings()).toEqual([]);
});

test("what an attach may have granted is shredded, also if that attach was given up", async () => {
  const state = await State.open();
  for (const number of [1, 2]) await state.addServer(number, 4);
  const hsvrid = await state.addHead(1);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 });
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  const error = new VasError("EHOSTDOWN", "the head did not answer");
  await state.run(giveUpAttach, { jobid, lvolid, error });
  await state.run(finishUndo, { jobid, lvolid, error });
  await state.run(deleteVolume, { lvolid });
  expect(await state.run(beginShreds, {})).toBe(2);
  expect(await state.findings()).toEqual([]);
});
