import type { ErrorName } from "../../shared/errors.js";
import type { ManagerMethodName } from "../../shared/methods/manager-methods.js";
import type { XmlRpcStruct } from "../../shared/xmlrpc/value.js";

/** One wrong call: what is sent besides `ver`, the errno that it must get, and a word that the sentence must hold. */
export interface BadCall {
  readonly method: ManagerMethodName;
  readonly params: XmlRpcStruct;
  readonly errno: ErrorName;
  /** Name of the wrong member, or of the thing that is not there. */
  readonly names: string;
}

/** What the rows may refer to: the cluster has these and no others of their kind. */
export interface Known {
  readonly hsvrid: number;
  readonly ssvrid: number;
  readonly headAddress: string;
  readonly storageAddress: string;
  readonly lvolid: number;
  readonly lvolname: string;
}

const NOBODY = 2_000_000;
const FREE_ADDRESS = "127.255.255.1";
const SECTORS_OF_8_GB = "16777216";

type Row = readonly [params: XmlRpcStruct, errno: ErrorName, names: string];

/** Every method that names one volume takes it in the same way. */
const volumeRows = (more: XmlRpcStruct = {}): readonly Row[] => [
  [{ ...more }, "EINVAL", "lvolid"],
  [{ ...more, lvolid: 0 }, "EINVAL", "lvolid"],
  [{ ...more, lvolid: "1" }, "EINVAL", "lvolid"],
  [{ ...more, lvolid: 1.5 }, "EINVAL", "lvolid"],
  [{ ...more, lvolname: 5 }, "EINVAL", "lvolname"],
  [{ ...more, lvolid: NOBODY }, "ENOENT", "volume"],
  [{ ...more, lvolname: "nobody" }, "ENOENT", "nobody"],
];

/** What deletes one thing takes its id, any int: 0 and less are of nothing. */
/** Both kinds of servers register in the same way. */
const addressRows = (taken: string): readonly Row[] => [
  [{}, "EINVAL", "ip_data"],
  [{ ip_data: taken }, "EINVAL", "ip_data"],
  [{ ip_data: [] }, "EINVAL", "ip_data"],
  [{ ip_data: [5] }, "EINVAL", "ip_data"],
  [{ ip_data: ["999.999.999.999"] }, "EINVAL", "ip_data"],
  [{ ip_data: [FREE_ADDRESS, FREE_ADDRESS] }, "EINVAL", "ip_data"],
  [{ ip_data: ["127.255.255.1", "127.255.255.2", "127.255.255.3"] }, "EINVAL", "ip_data"],
  [{ ip_data: [FREE_ADDRESS], port: 0 }, "EINVAL", "port"],
  [{ ip_data: [FREE_ADDRESS], port: 65_536 }, "EINVAL", "port"],
  [{ ip_data: [FREE_ADDRESS], boot_id: 1 }, "EINVAL", "boot_id"],
  [{ ip_data: [taken] }, "EEXIST", "registered"],
  [{ ip_data: [taken, FREE_ADDRESS], boot_id: "x" }, "EEXIST", "address"],
];

const idRows = (member: string, what: string): readonly Row[] => [
  [{}, "EINVAL", member],
  [{ [member]: "1" }, "EINVAL", member],
  [{ [member]: 1.5 }, "EINVAL", member],
  [{ [member]: 0 }, "ENOENT", what],
  [{ [member]: -1 }, "ENOENT", what],
  [{ [member]: NOBODY }, "ENOENT", what],
];

const reportRows = (known: Known): readonly Row[] => {
  const report = { lvolid: known.lvolid, epoch: 1, mirrorid: 1, dextid: 1, version: 1 };
  return [
    ...Object.keys(report).map((member): Row => [{ ...report, [member]: "1" }, "EINVAL", member]),
    ...Object.keys(report).map((member): Row => [{ ...report, [member]: -1 }, "EINVAL", member]),
    [report, "ESTALE", "epoch"],
  ];
};

function rowsByMethod(known: Known): Partial<Record<ManagerMethodName, readonly Row[]>> {
  const volume = { lvolname: "new", capacity: 1 };
  const disk = { ssvrid: known.ssvrid, local_path: "/new", capacity: SECTORS_OF_8_GB };
  const mirror = { lvolid: known.lvolid, epoch: 1, mirrorid: 1 };
  const snapshot = { origin_lvolid: known.lvolid, snapshot_lvolname: "new" };
  const loss = { lvolid: known.lvolid, epoch: 1, snapshot_lvolid: 1, reason: "none" };
  return {
    registerHeadServer: [
      ...addressRows(known.headAddress),
      [{ ip_data: [FREE_ADDRESS], running: 1 }, "EINVAL", "running"],
      [{ ip_data: [FREE_ADDRESS], running: [{ lvolid: 0, epoch: 1 }] }, "EINVAL", "lvolid"],
    ],
    registerStorageServer: [
      ...addressRows(known.storageAddress),
      [{ ip_data: [FREE_ADDRESS], zone: 1 }, "EINVAL", "zone"],
    ],
    registerPhysicalDisk: [
      [{ ...disk, ssvrid: undefined }, "EINVAL", "ssvrid"],
      [{ ...disk, ssvrid: NOBODY }, "EINVAL", "ssvrid"],
      [{ ...disk, local_path: "" }, "EINVAL", "local_path"],
      [{ ...disk, local_path: 5 }, "EINVAL", "local_path"],
      [{ ...disk, capacity: 16_777_216 }, "EINVAL", "capacity"],
      [{ ...disk, capacity: "12x" }, "EINVAL", "capacity"],
      [{ ...disk, capacity: "-1" }, "EINVAL", "capacity"],
      [{ ...disk, capacity: "2048" }, "EINVAL", "capacity"],
      [{ ...disk, serial: "" }, "EINVAL", "serial"],
      [{ ...disk, pdskid: "1" }, "EINVAL", "pdskid"],
      [{ ...disk, pdskid: 0 }, "EINVAL", "pdskid"],
      [{ ...disk, pdskid: NOBODY }, "ENOENT", "pdskid"],
      [{ ...disk, nbd_port: 70_000 }, "EINVAL", "nbd_port"],
    ],
    createLogicalVolume: [
      [{ ...volume, lvolname: undefined }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: 5 }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: "" }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: "x".repeat(65) }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: "a/b" }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: "größe" }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: ".." }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: "lvol-0000000a" }, "EINVAL", "lvolname"],
      [{ ...volume, lvolname: known.lvolname }, "EEXIST", known.lvolname],
      [{ ...volume, capacity: undefined }, "EINVAL", "capacity"],
      [{ ...volume, capacity: "1" }, "EINVAL", "capacity"],
      [{ ...volume, capacity: 0 }, "EINVAL", "capacity"],
      [{ ...volume, capacity: 1.5 }, "EINVAL", "capacity"],
      [{ ...volume, capacity: 1_048_577 }, "EINVAL", "capacity"],
      [{ ...volume, redundancy: 1 }, "EINVAL", "redundancy"],
      [{ ...volume, redundancy: 10 }, "EINVAL", "redundancy"],
      [{ ...volume, redundancy: true }, "EINVAL", "redundancy"],
      [{ ...volume, redundancy: 9 }, "ENOSPC", "storage server"],
      [{ ...volume, capacity: 1_048_576, redundancy: 2 }, "ENOSPC", "GB"],
    ],
    createSnapshot: [
      ...[{}, { origin_lvolid: 0 }, { origin_lvolid: "1" }, { origin_lvolid: 1.5 }].map(
        (wrong): Row => [{ ...snapshot, origin_lvolid: undefined, ...wrong }, "EINVAL", "origin_lvolid"],
      ),
      [{ ...snapshot, origin_lvolid: undefined, origin_lvolname: 5 }, "EINVAL", "origin_lvolname"],
      [{ ...snapshot, origin_lvolid: NOBODY }, "ENOENT", "volume"],
      [{ ...snapshot, origin_lvolid: undefined, origin_lvolname: "nobody" }, "ENOENT", "nobody"],
      [{ ...snapshot, snapshot_lvolname: undefined }, "EINVAL", "snapshot_lvolname"],
      [{ ...snapshot, snapshot_lvolname: "a/b" }, "EINVAL", "snapshot_lvolname"],
      [{ ...snapshot, snapshot_lvolname: "lvol-0000000a" }, "EINVAL", "snapshot_lvolname"],
      [{ ...snapshot, snapshot_lvolname: known.lvolname }, "EEXIST", known.lvolname],
    ],
    deleteLogicalVolume: volumeRows(),
    attachLogicalVolume: [
      ...volumeRows({ hsvrid: known.hsvrid }),
      [{ lvolid: known.lvolid }, "EINVAL", "hsvrid"],
      [{ lvolid: known.lvolid, hsvrid: "1" }, "EINVAL", "hsvrid"],
      [{ lvolid: known.lvolid, hsvrid: NOBODY }, "EINVAL", "hsvrid"],
    ],
    detachLogicalVolume: volumeRows(),
    listLogicalVolumes: [
      [{ lvolid: "1" }, "EINVAL", "lvolid"],
      [{ lvolname: 1 }, "EINVAL", "lvolname"],
      [{ lvolid: NOBODY }, "ENOENT", "volume"],
      [{ lvolname: "nobody" }, "ENOENT", "nobody"],
    ],
    showLogicalVolume: volumeRows(),
    listHeadServers: [
      [{ hsvrid: "1" }, "EINVAL", "hsvrid"],
      [{ hsvrid: NOBODY }, "ENOENT", "head server"],
    ],
    listStorageServers: [
      [{ ssvrid: "1" }, "EINVAL", "ssvrid"],
      [{ ssvrid: NOBODY }, "ENOENT", "storage server"],
    ],
    listPhysicalDisks: [
      [{ ssvrid: "1" }, "EINVAL", "ssvrid"],
      [{ ssvrid: NOBODY }, "ENOENT", "storage server"],
    ],
    notifyFailure: [
      [{ targetid: 1 }, "EINVAL", "target"],
      [{ target: 0, targetid: 1 }, "EINVAL", "target"],
      [{ target: 5, targetid: 1 }, "EINVAL", "target"],
      [{ target: "1", targetid: 1 }, "EINVAL", "target"],
      [{ target: 1 }, "EINVAL", "targetid"],
      [{ target: 1, targetid: "1" }, "EINVAL", "targetid"],
      [{ target: 1, targetid: NOBODY }, "ENOENT", "head server"],
      [{ target: 2, targetid: NOBODY }, "ENOENT", "storage server"],
      [{ target: 3, targetid: NOBODY }, "ENOENT", "disk"],
      [{ target: 4, targetid: NOBODY }, "ENOENT", "extent"],
    ],
    listEvents: [
      [{ limit: "1" }, "EINVAL", "limit"],
      [{ limit: 0 }, "EINVAL", "limit"],
      [{ limit: 10_001 }, "EINVAL", "limit"],
    ],
    deletePhysicalDisk: idRows("pdskid", "disk"),
    deleteHeadServer: [
      ...idRows("hsvrid", "head server"),
      [{ hsvrid: known.hsvrid }, "EBUSY", "head server"],
    ],
    deleteStorageServer: [
      ...idRows("ssvrid", "storage server"),
      [{ ssvrid: known.ssvrid }, "EBUSY", "storage server"],
    ],
    notifyBadBlocks: [
      [{ blocks: [0] }, "EINVAL", "pdskid"],
      [{ pdskid: "1", blocks: [0] }, "EINVAL", "pdskid"],
      [{ pdskid: NOBODY, blocks: [0] }, "EINVAL", "pdskid"],
      [{ pdskid: 1 }, "EINVAL", "blocks"],
      [{ pdskid: 1, blocks: 1 }, "EINVAL", "blocks"],
      [{ pdskid: 1, blocks: ["1"] }, "EINVAL", "blocks"],
      [{ pdskid: 1, blocks: [-1] }, "EINVAL", "block"],
      [{ pdskid: 1, blocks: [0, 1_000_000] }, "EINVAL", "1000000"],
    ],
    notifyShredFinished: [
      [{}, "EINVAL", "dextid"],
      [{ dextid: "1" }, "EINVAL", "dextid"],
    ],
    notifyRebuildMirrorFinished: [
      [{ dexts: [] }, "EINVAL", "mirrorid"],
      [{ mirrorid: 1 }, "EINVAL", "dexts"],
      [{ mirrorid: 1, dexts: [1] }, "EINVAL", "dexts"],
      [{ mirrorid: 1, dexts: [{ dextid: 1 }] }, "EINVAL", "dext_status"],
      [{ mirrorid: 1, dexts: [{ dextid: 1, dext_status: 6 }] }, "EINVAL", "dext_status"],
      [{ mirrorid: NOBODY, dexts: [] }, "ENOENT", "mirror"],
    ],
    evacuatePhysicalDisk: [...idRows("pdskid", "disk"), [{ pdskid: NOBODY, cancel: 1 }, "EINVAL", "cancel"]],
    evacuateStorageServer: [
      ...idRows("ssvrid", "storage server"),
      [{ ssvrid: NOBODY, cancel: "true" }, "EINVAL", "cancel"],
    ],
    listJobs: [[{ all: 1 }, "EINVAL", "all"]],
    showJob: idRows("jobid", "job"),
    cancelJob: idRows("jobid", "job"),
    retryJob: idRows("jobid", "job"),
    reportMemberFailure: reportRows(known),
    reportMemberInSync: reportRows(known),
    reportSnapshotFailure: [
      ...Object.keys(loss).map((member): Row => [{ ...loss, [member]: true }, "EINVAL", member]),
      [loss, "ESTALE", "epoch"],
    ],
    getSnapshots: [
      [{ lvolid: known.lvolid, epoch: "1" }, "EINVAL", "epoch"],
      [{ lvolid: "1", epoch: 1 }, "EINVAL", "lvolid"],
      [{ lvolid: known.lvolid, epoch: 1 }, "ESTALE", "epoch"],
    ],
    getMirror: [
      ...Object.keys(mirror).map((member): Row => [{ ...mirror, [member]: "1" }, "EINVAL", member]),
      [mirror, "ESTALE", "epoch"],
    ],
  };
}

/** Methods without parameters: nothing but `ver` can be wrong. */
export const withoutParameters: readonly ManagerMethodName[] = [
  "getClusterStatus",
  "checkState",
  "identifyCluster",
  "shutdownAll",
];

export function badCalls(known: Known): BadCall[] {
  return Object.entries(rowsByMethod(known)).flatMap(([method, rows]) =>
    rows.map(([params, errno, names]) => ({ method: method as ManagerMethodName, params, errno, names })),
  );
}
