import type { ManagerMethodName } from "../../../shared/methods/manager-methods.js";
import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import { type Known, NOBODY } from "./known.js";

export type Kind = "int" | "string" | "boolean" | "array";
type Kinds = Readonly<Record<string, Kind>>;

const volume: Kinds = { lvolid: "int", lvolname: "string" };
const member: Kinds = { lvolid: "int", epoch: "int", mirrorid: "int", dextid: "int", version: "int" };
const server: Kinds = { ip_data: "array", port: "int", boot_id: "string", starting: "boolean" };

/** What each member of each method must be; written down here, and not derived from the tables that are under test. */
export const memberKinds: Readonly<Record<ManagerMethodName, Kinds>> = {
  registerHeadServer: { ...server, as_of: "int", running: "array" },
  registerStorageServer: { ...server, zone: "string" },
  registerPhysicalDisk: {
    ssvrid: "int",
    local_path: "string",
    capacity: "string",
    serial: "string",
    pdskid: "int",
    nbd_port: "int",
    iscsi_name: "string",
  },
  deletePhysicalDisk: { pdskid: "int" },
  deleteHeadServer: { hsvrid: "int" },
  deleteStorageServer: { ssvrid: "int" },
  createLogicalVolume: { lvolname: "string", capacity: "int", redundancy: "int" },
  deleteLogicalVolume: volume,
  createSnapshot: { origin_lvolid: "int", origin_lvolname: "string", snapshot_lvolname: "string" },
  attachLogicalVolume: { ...volume, hsvrid: "int" },
  detachLogicalVolume: volume,
  listLogicalVolumes: volume,
  showLogicalVolume: volume,
  listHeadServers: { hsvrid: "int" },
  listStorageServers: { ssvrid: "int" },
  listPhysicalDisks: { ssvrid: "int" },
  listEvents: { limit: "int" },
  notifyFailure: { target: "int", targetid: "int" },
  notifyBadBlocks: { pdskid: "int", blocks: "array" },
  notifyShredFinished: { dextid: "int" },
  notifyRebuildMirrorFinished: { mirrorid: "int", dexts: "array" },
  shutdownAll: {},
  getClusterStatus: {},
  checkState: {},
  identifyCluster: {},
  evacuatePhysicalDisk: { pdskid: "int", cancel: "boolean" },
  evacuateStorageServer: { ssvrid: "int", cancel: "boolean" },
  listJobs: { all: "boolean" },
  showJob: { jobid: "int" },
  cancelJob: { jobid: "int" },
  retryJob: { jobid: "int" },
  reportMemberFailure: member,
  reportMemberInSync: member,
  reportSnapshotFailure: { lvolid: "int", epoch: "int", snapshot_lvolid: "int", reason: "string" },
  getSnapshots: { lvolid: "int", epoch: "int" },
  getMirror: { lvolid: "int", epoch: "int", mirrorid: "int", starting: "boolean" },
};

/** With it, a server that is there is neither the same nor another one: it is refused, whatever else the call says. */
const FREE_ADDRESS = "127.255.255.1";

/**
 * Calls whose members are all of the right type, and that change nothing: the changing ones name what is not there, or what
 * is there already. The members that may be left out are left out. What the rows and the generator spoil are these.
 */
export function goodCalls(known: Known): Partial<Record<ManagerMethodName, XmlRpcStruct>> {
  const nobody = { lvolname: "nobody" };
  const mirror = { lvolid: NOBODY, epoch: NOBODY, mirrorid: NOBODY };
  const report = { ...mirror, dextid: NOBODY, version: NOBODY };
  return {
    registerHeadServer: { ip_data: [known.headAddress, FREE_ADDRESS], as_of: 0, starting: true, running: [] },
    registerStorageServer: { ip_data: [known.storageAddress, FREE_ADDRESS], zone: "a", starting: false },
    registerPhysicalDisk: { ssvrid: NOBODY, local_path: "/dev/disk", capacity: "16777216", serial: "S1" },
    createLogicalVolume: { lvolname: known.bound, capacity: 1, redundancy: 2 },
    deleteLogicalVolume: nobody,
    createSnapshot: { origin_lvolname: known.spare, snapshot_lvolname: known.bound },
    attachLogicalVolume: { lvolname: known.bound, hsvrid: known.hsvrid },
    detachLogicalVolume: nobody,
    listLogicalVolumes: { lvolname: known.bound },
    showLogicalVolume: { lvolname: known.bound },
    listHeadServers: { hsvrid: known.hsvrid },
    listStorageServers: {},
    listPhysicalDisks: {},
    listEvents: {},
    deletePhysicalDisk: { pdskid: NOBODY },
    deleteHeadServer: { hsvrid: known.hsvrid },
    deleteStorageServer: { ssvrid: NOBODY },
    notifyFailure: { target: 1, targetid: NOBODY },
    notifyBadBlocks: { pdskid: NOBODY, blocks: [0] },
    notifyShredFinished: { dextid: NOBODY },
    notifyRebuildMirrorFinished: { mirrorid: NOBODY, dexts: [{ dextid: NOBODY, dext_status: 3 }] },
    shutdownAll: {},
    getClusterStatus: {},
    checkState: {},
    identifyCluster: {},
    evacuatePhysicalDisk: { pdskid: NOBODY },
    evacuateStorageServer: { ssvrid: NOBODY },
    listJobs: {},
    showJob: { jobid: NOBODY },
    cancelJob: { jobid: NOBODY },
    retryJob: { jobid: NOBODY },
    reportMemberFailure: report,
    reportMemberInSync: report,
    reportSnapshotFailure: { lvolid: NOBODY, epoch: NOBODY, snapshot_lvolid: NOBODY, reason: "none" },
    getSnapshots: { lvolid: NOBODY, epoch: NOBODY },
    getMirror: { ...mirror, starting: true },
  };
}
