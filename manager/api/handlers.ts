import { VasError } from "../../shared/errors.js";
import type { ManagerMethodName, managerMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf, ResultOf } from "../../shared/methods/method.js";
import { JobStatus } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import { beginAttach } from "../operations/begin-attach.js";
import { beginDetach } from "../operations/begin-detach.js";
import { checkCluster } from "../operations/check-cluster.js";
import { countBinds } from "../operations/count-binds.js";
import { createSnapshot } from "../operations/create-snapshot.js";
import { createVolume } from "../operations/create-volume.js";
import { deleteHeadServer } from "../operations/delete-head-server.js";
import { deletePhysicalDisk } from "../operations/delete-physical-disk.js";
import { deleteStorageServer } from "../operations/delete-storage-server.js";
import { deleteVolume } from "../operations/delete-volume.js";
import { evacuatePhysicalDisk, evacuateStorageServer } from "../operations/evacuate.js";
import { notifyRebuildMirrorFinished, notifyShredFinished } from "../operations/hasten-job.js";
import { resultName } from "../operations/held-job.js";
import { listEvents } from "../operations/list-events.js";
import { listHeadServers } from "../operations/list-head-servers.js";
import { listJobs, showJob } from "../operations/list-jobs.js";
import { listPhysicalDisks } from "../operations/list-physical-disks.js";
import { listStorageServers } from "../operations/list-storage-servers.js";
import { listVolumes, showVolume } from "../operations/list-volumes.js";
import { notifyBadBlocks } from "../operations/notify-bad-blocks.js";
import { notifyFailure } from "../operations/notify-failure.js";
import { readClusterStatus, type StatusSources } from "../operations/read-cluster-status.js";
import { registerHeadServer } from "../operations/register-head-server.js";
import { registerPhysicalDisk } from "../operations/register-physical-disk.js";
import { registerStorageServer } from "../operations/register-storage-server.js";
import { getMirror, reportMemberFailure, reportMemberInSync } from "../operations/report-member.js";
import { getSnapshots, reportSnapshotFailure } from "../operations/report-snapshot.js";
import { shutdownAll } from "../operations/shutdown-all.js";
import { cancelJob, retryWaitingJob } from "../operations/steer-job.js";
import type { Call, JobOutcome } from "./call.js";

type Methods = typeof managerMethods;

/** One handler for each method of the table. */
export type ManagerHandlers = {
  readonly [M in ManagerMethodName]: (
    params: ParamsOf<Methods[M]>,
    call: Call,
  ) => Promise<ResultOf<Methods[M]>>;
};

export interface HandlerOptions {
  readonly attachDeadline: Milliseconds;
  readonly detachDeadline: Milliseconds;
  readonly status: () => StatusSources;
  /** Compares what the agents hold with the state. */
  readonly checkAgents: () => Promise<{
    readonly differences: readonly string[];
    readonly not_compared: readonly string[];
  }>;
  /** A server has registered: it is there. */
  readonly onRegistered: (kind: "head" | "storage", id: number) => void;
  /** A job was cancelled: whoever runs it need not go on. */
  readonly onCancelled: (jobid: number) => void;
}

/** What each method does: one operation, and for a long call the wait for its job. The API never retries. */
export function createHandlers({
  attachDeadline,
  detachDeadline,
  status,
  checkAgents,
  onRegistered,
  onCancelled,
}: HandlerOptions): ManagerHandlers {
  return {
    registerHeadServer: async (params, call) => {
      const hsvrid = await call.change(registerHeadServer, params);
      onRegistered("head", hsvrid);
      return hsvrid;
    },
    registerStorageServer: async (params, call) => {
      const ssvrid = await call.change(registerStorageServer, params);
      onRegistered("storage", ssvrid);
      return ssvrid;
    },
    registerPhysicalDisk: (params, call) => call.change(registerPhysicalDisk, params),
    deletePhysicalDisk: (params, call) => call.change(deletePhysicalDisk, params),
    deleteHeadServer: (params, call) => call.change(deleteHeadServer, params),
    deleteStorageServer: (params, call) => call.change(deleteStorageServer, params),

    createLogicalVolume: (params, call) => call.change(createVolume, params),
    createSnapshot: async (params, call) => {
      const { lvolid, jobid } = await call.change(createSnapshot, params);
      if (jobid !== undefined) outcomeOf("snapshot", await call.waitFor(jobid, attachDeadline));
      return lvolid;
    },
    deleteLogicalVolume: async (params, call) => {
      const jobid = await call.change(deleteVolume, params);
      if (jobid === undefined) return 0;
      return outcomeOf("deletion", await call.waitFor(jobid, detachDeadline));
    },
    attachLogicalVolume: async (params, call) => {
      const jobid = await call.change(beginAttach, params);
      return outcomeOf("attach", await call.waitFor(jobid, attachDeadline));
    },
    detachLogicalVolume: async (params, call) => {
      const jobid = await call.change(beginDetach, params);
      if (jobid === undefined) return 0;
      return outcomeOf("detach", await call.waitFor(jobid, detachDeadline));
    },
    listLogicalVolumes: (params, call) => call.read(listVolumes, params),
    showLogicalVolume: (params, call) => call.read(showVolume, params),

    listHeadServers: (params, call) => call.read(listHeadServers, params),
    listStorageServers: (params, call) => call.read(listStorageServers, params),
    listPhysicalDisks: (params, call) => call.read(listPhysicalDisks, params),
    listEvents: (params, call) => call.read(listEvents, { ...params, progressOf: status().progressOf }),

    notifyFailure: (params, call) => call.change(notifyFailure, params),
    notifyBadBlocks: (params, call) => call.change(notifyBadBlocks, params),
    notifyShredFinished: (params, call) => call.change(notifyShredFinished, params),
    notifyRebuildMirrorFinished: (params, call) => call.change(notifyRebuildMirrorFinished, params),
    shutdownAll: (params, call) => call.change(shutdownAll, params),

    evacuatePhysicalDisk: (params, call) => call.change(evacuatePhysicalDisk, params),
    evacuateStorageServer: (params, call) => call.change(evacuateStorageServer, params),

    listJobs: (params, call) => call.read(listJobs, { ...params, progressOf: status().progressOf }),
    showJob: (params, call) => call.read(showJob, { ...params, progressOf: status().progressOf }),
    cancelJob: async (params, call) => {
      if (await call.change(cancelJob, params)) onCancelled(params.jobid);
      return 0;
    },
    retryJob: (params, call) => call.change(retryWaitingJob, params),

    getClusterStatus: (_params, call) => call.read(readClusterStatus, status()),
    checkState: async (_params, call) => ({
      findings: await call.read(checkCluster, {}),
      ...(await checkAgents()),
    }),
    identifyCluster: async (_params, call) => {
      const { cluster, serial } = status();
      return { cluster, serial, as_of: await call.read(countBinds, {}) };
    },
    reportMemberFailure: (params, call) => call.change(reportMemberFailure, params),
    reportMemberInSync: (params, call) => call.change(reportMemberInSync, params),
    reportSnapshotFailure: (params, call) => call.change(reportSnapshotFailure, params),
    getSnapshots: (params, call) => call.read(getSnapshots, params),
    getMirror: (params, call) => call.read(getMirror, params),
  };
}

/** @throws VasError with what the job failed by, or ETIMEDOUT if it goes on. */
function outcomeOf(verb: string, job: JobOutcome | undefined): 0 {
  if (job?.status === JobStatus.DONE) return 0;
  const errno = job === undefined ? undefined : resultName(job.result);
  if (job !== undefined && errno !== undefined) throw new VasError(errno, job.last_error);
  throw new VasError(
    "ETIMEDOUT",
    `the ${verb} did not end in time and goes on in the background; "vas status" tells how far it is`,
  );
}
