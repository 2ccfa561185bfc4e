import { expect, test } from "vitest";
import { JobStatus } from "../../../shared/states.js";
import { faultOf } from "../../harness/fault-of.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { expectRefusals, expectRefused } from "./refusals.js";
import {
  bound,
  createSmall,
  createSmallAttached,
  createSnapshotOf,
  expectBinding,
  headOf,
  infoOf,
  patient,
  unbound,
  whileHeld,
} from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, diskGb: 8, gate: true, manager: patient });
const method = "cancelJob";

const openJob = async (kind: string): Promise<number> =>
  (await cluster().api("listJobs", {})).find((job) => job.kind === kind)?.jobid ?? 0;

/** Cancels the job that a held call is for. @returns what the caller is told meanwhile */
async function cancelled(kind: string, call: Promise<unknown>): Promise<string> {
  expect(await cluster().api(method, { jobid: await openJob(kind) })).toBe(0);
  return (await faultOf(call)).errno;
}

test(`${method} ends an attach: its caller gets ECANCELED, and the volume is free again`, async () => {
  const volume = await createSmall(cluster(), "attach");
  const { lvolid } = volume;
  let told: Promise<unknown> = Promise.resolve();
  await whileHeld(
    cluster(),
    { method: "grantExtents" },
    () => {
      told = attach(cluster(), lvolid, headOf(cluster()));
      return told;
    },
    async () => expect(await cancelled("attach", told)).toBe("ECANCELED"),
  ).catch(() => undefined);
  await waitUntil("it is undone", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
  await expectBinding(cluster(), lvolid, unbound);
  await attach(cluster(), lvolid, headOf(cluster()));
});

test(`${method} ends a detach: the volume stays attached`, async () => {
  const { lvolid } = await createSmallAttached(cluster(), "detach");
  let told: Promise<unknown> = Promise.resolve();
  await whileHeld(
    cluster(),
    { method: "detachLogicalVolume" },
    () => {
      told = cluster().api("detachLogicalVolume", { lvolid });
      return told;
    },
    async () => {
      expect(await cancelled("detach", told)).toBe("ECANCELED");
      await expectBinding(cluster(), lvolid, bound);
    },
  ).catch(() => undefined);
  await waitUntil(
    "it is detached",
    async () => (await cluster().api("detachLogicalVolume", { lvolid })) === 0,
  );
});

test(`${method} undoes a snapshot that is being taken, and answers EBUSY for a deletion that a head was told of`, async () => {
  const volume = await createSmallAttached(cluster(), "origin");
  let told: Promise<unknown> = Promise.resolve();
  await whileHeld(
    cluster(),
    { method: "createSnapshot" },
    () => {
      told = createSnapshotOf(cluster(), volume, "given-up");
      return told;
    },
    async () => expect(await cancelled("create-snapshot", told)).toBe("ECANCELED"),
  ).catch(() => undefined);
  await waitUntil("it is gone", async () =>
    (await cluster().api("listLogicalVolumes", {})).every(({ lvolname }) => lvolname !== "given-up"),
  );
  const lvolid = await createSnapshotOf(cluster(), volume, "kept");
  const answer = await whileHeld(
    cluster(),
    { method: "deleteSnapshot" },
    () => cluster().api("deleteLogicalVolume", { lvolid }),
    async () => expectRefused(cluster(), method, { jobid: await openJob("delete-snapshot") }, "EBUSY"),
  );
  expect(answer).toBe(0);
});

test(`${method} answers EINVAL for a job that has ended, 0 for one that was cancelled, and ENOENT for none`, async () => {
  const jobs = await cluster().api("listJobs", { all: true });
  const idOf = (status: JobStatus): number => jobs.find((job) => job.status === status)?.jobid ?? 0;
  await expectRefused(cluster(), method, { jobid: idOf(JobStatus.DONE) }, "EINVAL");
  expect(await cluster().api(method, { jobid: idOf(JobStatus.CANCELED) })).toBe(0);
  await expectRefusals(
    cluster(),
    method,
    [0, -1, 2_000_000].map((jobid) => [{ jobid }, "ENOENT", "job"] as const),
  );
});
