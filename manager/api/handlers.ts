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
import { deleteVolume } from "../operations/delete-volume.js";
import { resultName } from "../operations/held-job.js";
import { listHeadServers } from "../operations/list-head-servers.js";
import { listPhysicalDisks } from "../operations/list-physical-disks.js";
import { listStorageServers } from "../operations/list-storage-servers.js";
import { listVolumes, showVolume } from "../operations/list-volumes.js";
import { notifyFailure } from "../operations/notify-failure.js";
import type { Executor } from "../operations/operation.js";
import { readClusterStatus, type StatusSources } from "../operations/read-cluster-status.js";
import { registerHeadServer } from "../operations/register-head-server.js";
import { registerPhysicalDisk } from "../operations/register-physical-disk.js";
import { registerStorageServer } from "../operations/register-storage-server.js";
import { getMirror, reportMemberFailure, reportMemberInSync } from "../operations/report-member.js";
import { getSnapshots, reportSnapshotFailure } from "../operations/report-snapshot.js";

type Methods = typeof managerMethods;

/** One handler for each method of the table. */
export type ManagerHandlers = {
  readonly [M in ManagerMethodName]: (params: ParamsOf<Methods[M]>) => Promise<ResultOf<Methods[M]>>;
};

/** How a job ended, as far as the caller that waits for it is concerned. */
export interface JobOutcome {
  readonly status: number;
  readonly result: string;
  readonly last_error: string;
}

export interface HandlerOptions {
  readonly executor: Executor;
  /** Waits until a job has ended, or the deadline; undefined if the job is not there any more. */
  readonly waitForJob: (jobid: number, deadline: Milliseconds) => Promise<JobOutcome | undefined>;
  readonly attachDeadline: Milliseconds;
  readonly detachDeadline: Milliseconds;
  readonly status: () => StatusSources;
  /** A server has registered: it is there. */
  readonly onRegistered: (kind: "head" | "storage", id: number) => void;
}

/** What each method does: one operation, and for a long call the wait for its job. The API never retries. */
export function createHandlers(options: HandlerOptions): ManagerHandlers {
  const { executor } = options;
  return {
    registerHeadServer: async (params) => {
      const hsvrid = await executor.run(registerHeadServer, params);
      options.onRegistered("head", hsvrid);
      return hsvrid;
    },
    registerStorageServer: async (params) => {
      const ssvrid = await executor.run(registerStorageServer, params);
      options.onRegistered("storage", ssvrid);
      return ssvrid;
    },
    registerPhysicalDisk: (params) => executor.run(registerPhysicalDisk, params),
    createLogicalVolume: (params) => executor.run(createVolume, params),
    deleteLogicalVolume: async (params) => {
      const jobid = await executor.run(deleteVolume, params);
      if (jobid === undefined) return 0;
      return outcomeOf("deletion", await options.waitForJob(jobid, options.detachDeadline));
    },
    createSnapshot: async (params) => {
      const { lvolid, jobid } = await executor.run(createSnapshot, params);
      if (jobid !== undefined) outcomeOf("snapshot", await options.waitForJob(jobid, options.attachDeadline));
      return lvolid;
    },
    attachLogicalVolume: async (params) => {
      const jobid = await executor.run(beginAttach, params);
      return outcomeOf("attach", await options.waitForJob(jobid, options.attachDeadline));
    },
    detachLogicalVolume: async (params) => {
      const jobid = await executor.run(beginDetach, params);
      if (jobid === undefined) return 0;
      return outcomeOf("detach", await options.waitForJob(jobid, options.detachDeadline));
    },
    listLogicalVolumes: (params) => executor.runQuietly(listVolumes, params),
    showLogicalVolume: (params) => executor.runQuietly(showVolume, params),
    listHeadServers: (params) => executor.runQuietly(listHeadServers, params),
    listStorageServers: (params) => executor.runQuietly(listStorageServers, params),
    listPhysicalDisks: (params) => executor.runQuietly(listPhysicalDisks, params),
    notifyFailure: (params) => executor.run(notifyFailure, params),
    getClusterStatus: () => executor.runQuietly(readClusterStatus, options.status()),
    checkState: () => executor.runQuietly(checkCluster, {}),
    identifyCluster: async () => {
      const { cluster, serial } = options.status();
      return { cluster, serial, as_of: await executor.runQuietly(countBinds, {}) };
    },
    reportSnapshotFailure: (params) => executor.run(reportSnapshotFailure, params),
    getSnapshots: (params) => executor.runQuietly(getSnapshots, params),
    reportMemberFailure: (params) => executor.run(reportMemberFailure, params),
    reportMemberInSync: (params) => executor.run(reportMemberInSync, params),
    getMirror: (params) => executor.runQuietly(getMirror, params),
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
