import { expect, test } from "vitest";
import { showExtent } from "../../../shared/ids.js";
import { JobStatus } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { twoCopiesOf } from "./copies.js";
import { endlessPauses, postpone } from "./postponed-jobs.js";
import { expectRefused } from "./refusals.js";
import { createSmallAttached } from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, diskGb: 8, gate: true, manager: endlessPauses });

test("retryJob tries a job that waits for its next attempt at once; cancelJob answers EPERM for a shred; showJob and listJobs tell", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "data");
  const [first] = await twoCopiesOf(cluster(), lvolid);
  await cluster().api("detachLogicalVolume", { lvolid });
  const hold = cluster().gate.hold({ method: "registerShredRequest" });
  await cluster().api("deleteLogicalVolume", { lvolid });
  await waitUntil("the shreds of both copies run", () => hold.messages.length === 2);
  await postpone(cluster(), "shred", first.lvolid);
  await hold.release();
  const mine = showExtent(first.lvolid);
  const job = (await cluster().api("listJobs", {})).find(({ subject }) => subject.startsWith(mine));
  const jobid = job?.jobid ?? 0;
  expect(job).toMatchObject({
    kind: "shred",
    status: JobStatus.PENDING,
    attempts: 20,
    last_error: "not now",
  });
  expect(job?.next_in).toBeGreaterThan(3_600);
  expect(await cluster().api("showJob", { jobid })).toMatchObject({ jobid, kind: "shred", finished: "" });
  await expectRefused(cluster(), "cancelJob", { jobid }, "EPERM");
  expect(await cluster().api("retryJob", { jobid })).toBe(0);
  await waitUntil(
    "it is done",
    async () => (await cluster().api("showJob", { jobid })).status === JobStatus.DONE,
  );
  const done = await cluster().api("showJob", { jobid });
  expect(done).toMatchObject({ next_in: -1, progress: 100, finished: expect.stringMatching(/^\d{4}-/) });
  expect((await cluster().api("listJobs", {})).map((open) => open.jobid)).not.toContain(jobid);
  expect(await cluster().api("listJobs", { all: true })).toContainEqual(done);
  await expectRefused(cluster(), "retryJob", { jobid }, "EINVAL");
});
