import { expect, test } from "vitest";
import type { JobState } from "../../shared/methods/manager-methods.js";
import { BindEvent, BindStatus, FailureTarget, JobStatus } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import type { TestCluster } from "../harness/cluster.js";
import { faultOf } from "../harness/fault-of.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { writeAll } from "../harness/volume-io.js";
import { attach, createAttached, createOpened, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

/** Servers are neither taken for silent nor given up on while a test looks at what hangs. */
const patient = { server_check_interval: 3600, replace_after: 3600, agent_timeout: 30 };

function jobOf(cluster: TestCluster, kind: string): Promise<JobState> {
  return waitUntil(`there is a job: ${kind}`, async () =>
    (await cluster.api("listJobs", {})).find((job) => job.kind === kind),
  );
}

async function expectBinding(
  cluster: TestCluster,
  lvolid: number,
  binding: readonly [BindStatus, BindEvent],
) {
  await waitUntil("the volume is as it should be", async () => {
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    return volume?.bind_status === binding[0] && volume.bind_event === binding[1];
  });
}

test("whoever waits for an attach that hangs is told at once that it was cancelled, and it is undone", async () => {
  const cluster = await useCluster({ storageServers: 2, manager: patient });
  const head = cluster.heads[0] as TestServer;
  const frozen = cluster.storage[0] as TestServer;
  const volume = { lvolname: "data", capacity: 1, redundancy: 2 };
  const lvolid = await cluster.api("createLogicalVolume", volume);
  frozen.freeze();
  const refusal = faultOf(attach(cluster, lvolid, head));
  const { jobid } = await jobOf(cluster, "attach");
  await waitUntil(
    "it runs",
    async () => (await cluster.api("showJob", { jobid })).status === JobStatus.RUNNING,
  );
  expect(await cluster.api("cancelJob", { jobid })).toBe(0);
  // The server is frozen all along: nothing else can have ended the wait.
  expect(await refusal).toMatchObject({
    errno: "ECANCELED",
    sentence: expect.stringMatching(/cancelled by a person/),
  });
  frozen.thaw();
  await expectBinding(cluster, lvolid, [BindStatus.UNBOUND, BindEvent.NONE]);
  expect(await cluster.api("showJob", { jobid })).toMatchObject({
    status: JobStatus.FAILED,
    result: "ECANCELED",
  });
  await attach(cluster, lvolid, head);
  await expectConsistent(cluster);
});

test("a resync that is cancelled stays so until it is retried, also over a restart of the manager", async () => {
  const cluster = await useCluster({ storageServers: 3, gate: true });
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const data = randomData("data", 8 * MIB);
  await writeAll(client, 0, data);
  const { id: ssvrid } = await serverOfFirstMirror(cluster, lvolid);
  const hold = cluster.gate.hold({ method: "replaceMirrorDisk" });
  await cluster.api("evacuateStorageServer", { ssvrid });
  await waitUntil("its head is asked to copy", () => hold.messages.length > 0);
  const { jobid } = await jobOf(cluster, "resync");
  expect(await cluster.api("cancelJob", { jobid })).toBe(0);
  expect(await cluster.api("cancelJob", { jobid })).toBe(0);
  expect(await cluster.api("showJob", { jobid })).toMatchObject({ status: JobStatus.CANCELED });
  await cluster.manager.kill();
  cluster.manager.up();
  await waitUntil("the manager answers", () => cluster.status());
  const other = await createAttached(cluster, { name: "other", gigabytes: 1, redundancy: 2, head });
  await cluster.api("detachLogicalVolume", { lvolid: other });
  await cluster.api("deleteLogicalVolume", { lvolid: other });
  // What is shredded is looked for after what is to be healed.
  await waitUntil(
    "the manager has looked at what is to be done",
    async () => (await cluster.status()).capacity.unshredded === 0,
  );
  expect((await cluster.api("listJobs", {})).filter(({ kind }) => kind === "resync")).toEqual([]);
  await hold.release();
  expect(await cluster.api("retryJob", { jobid })).toBe(0);
  await waitUntil(
    "the server can be deleted",
    async () => (await cluster.api("deleteStorageServer", { ssvrid })) === 0,
    240_000,
  );
  await expectSound(cluster, lvolid, client, [{ offset: 0, data }]);
});

test("a fence can't be cancelled, and ends when it can", async () => {
  const cluster = await useCluster({ storageServers: 2, manager: patient });
  const head = cluster.heads[0] as TestServer;
  const lvolid = await createAttached(cluster, { name: "data", gigabytes: 1, redundancy: 2, head });
  const targetid = await cluster.headServerId(head);
  for (const server of cluster.storage) server.freeze();
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid });
  const { jobid } = await jobOf(cluster, "fence");
  const refusal = await faultOf(cluster.api("cancelJob", { jobid }));
  expect(refusal).toMatchObject({
    errno: "EPERM",
    sentence: expect.stringMatching(/old head server may still write/),
  });
  for (const server of cluster.storage) server.thaw();
  await expectBinding(cluster, lvolid, [BindStatus.UNBOUND, BindEvent.NONE]);
  expect((await faultOf(cluster.api("cancelJob", { jobid }))).errno).toBe("EINVAL");
  await expectConsistent(cluster);
});
