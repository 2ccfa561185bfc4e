import type { SnapshotNode, VolumeNode } from "../../shared/layout-tree.js";
import type {
  DiskInfo,
  EventInfo,
  HeadServerInfo,
  StorageServerInfo,
  VolumeInfo,
} from "../../shared/methods/manager-methods.js";
import { BindEvent, BindStatus, MemberStatus, Priority, VolumeType } from "../../shared/states.js";

/** Answers of the manager in states that a real cluster is hard to bring to, all at once. */

export const LONG_NAME = `${"long-name.".repeat(6)}last`;
const IPV6 = ["2001:db8:1234:5678:9abc:def0:1234:5678", "2001:db8:8765:4321:9abc:def0:1234:5678"];

function volume(lvolid: number, lvolname: string, differs: Partial<VolumeInfo>): VolumeInfo {
  return {
    hsvrid: 0,
    lvolid,
    lvolname,
    redundancy: 3,
    capacity: 10,
    associated_to: [],
    associated_from: [],
    fault: false,
    bind_status: BindStatus.UNBOUND,
    bind_event: BindEvent.NONE,
    ctime: "2026-11-21T07:25:40",
    bind_error: "",
    snapshot_status: "",
    ...differs,
  };
}

const attached = { hsvrid: 1, bind_status: BindStatus.BOUND };

export const volumes: readonly VolumeInfo[] = [
  volume(1, "detached", {}),
  volume(0x1a, "attached", attached),
  volume(0x2b, "binding", { hsvrid: 2, bind_event: BindEvent.BINDING }),
  volume(0x3c, "unbinding", { ...attached, bind_event: BindEvent.UNBINDING }),
  volume(0x4d, "error", {
    hsvrid: 1,
    bind_status: BindStatus.ERROR,
    bind_error: "EIO: no copy of mirr-00000051 can be read from",
  }),
  volume(0x5e, "error-unbinding", {
    hsvrid: 1,
    bind_status: BindStatus.ERROR,
    bind_event: BindEvent.UNBINDING,
  }),
  volume(0x6f, "degraded", { ...attached, fault: true, redundancy: 2 }),
  volume(0x80, "origin", {
    ...attached,
    associated_from: [
      { lvolid: 0x81, type: "snapshot" },
      { lvolid: 0x82, type: "snapshot" },
    ],
  }),
  volume(0x81, "snapshot-1", {
    ...attached,
    capacity: 11,
    associated_to: [{ lvolid: 0x80, type: "snapshot" }],
    snapshot_status: "VALID",
  }),
  volume(0x82, LONG_NAME.replace("last", "snap"), {
    ...attached,
    capacity: 11,
    fault: true,
    associated_to: [{ lvolid: 0x80, type: "snapshot" }],
    snapshot_status: "INVALID",
  }),
  volume(0x7fffffff, LONG_NAME, { hsvrid: 0x7fffffff, bind_status: 1, capacity: 1_048_576, redundancy: 9 }),
];

function disk(pdskid: number, priority: number, differs: Partial<DiskInfo>): DiskInfo {
  return {
    ssvrid: 1,
    pdskid,
    priority,
    iscsi_path: [],
    local_path: "/dev/sdb",
    available: 60,
    capacity: 100,
    resync: 0,
    unshredded: 0,
    ...differs,
  };
}

export const disks: readonly DiskInfo[] = [
  disk(1, Priority.HIGH, { resync: 1 }),
  disk(2, Priority.LOW, { available: 1 }),
  disk(3, Priority.EVACUATE, { available: 0 }),
  disk(4, Priority.OFFLINE, { available: 100, unshredded: 100, ssvrid: 0x1f }),
  disk(5, Priority.FAULTY, { capacity: 7, available: 3 }),
  disk(6, Priority.HALT, { capacity: 0, available: 0 }),
  disk(0x7fffffff, Priority.HIGH, {
    ssvrid: 0x7fffffff,
    capacity: 1_000_000,
    available: 123_456,
    unshredded: 876_543,
    local_path: "/dev/disk/by-id/scsi-SVENDOR_A_very_long_model_name_0123456789-part1",
  }),
];

function storageServer(
  ssvrid: number,
  priority: number,
  differs: Partial<StorageServerInfo>,
): StorageServerInfo {
  const ip_data = [`192.168.120.${ssvrid}`, `192.168.130.${ssvrid}`];
  return { ssvrid, priority, ip_data, resync: 0, available: 60, capacity: 100, zone: "", ...differs };
}

export const storageServers: readonly StorageServerInfo[] = [
  storageServer(1, Priority.HIGH, { resync: 2, zone: "rack-1" }),
  storageServer(2, Priority.LOW, { available: 0, ip_data: ["192.168.120.2"] }),
  storageServer(3, Priority.EVACUATE, {}),
  storageServer(4, Priority.OFFLINE, { capacity: 0, available: 0 }),
  storageServer(5, Priority.FAULTY, { capacity: 3, available: 2 }),
  storageServer(6, Priority.HALT, {
    capacity: 1_000_000,
    available: 999_999,
    zone: LONG_NAME,
    ip_data: IPV6,
  }),
];

export const headServers: readonly HeadServerInfo[] = [
  { hsvrid: 1, priority: Priority.HIGH, ip_data: ["192.168.120.101", "192.168.130.101"], resync: 3 },
  { hsvrid: 2, priority: Priority.OFFLINE, ip_data: ["192.168.120.102"], resync: 0 },
  { hsvrid: 0x7fffffff, priority: Priority.FAULTY, ip_data: IPV6, resync: 16 },
];

const extent = (lvolid: number, ssvrid: number, offset: number, mirror_status: MemberStatus) => ({
  lvolid,
  lvoltype: VolumeType.DEXT,
  capacity: 10,
  mirror_status,
  lvolspec: { pdskid: ssvrid + 0x10, offset, ssvrid, iscsi_path: [], generation: 1 },
  labels: [],
  components: [] as const,
});

const mirror = (lvolid: number, capacity: number, components: readonly ReturnType<typeof extent>[]) => ({
  lvolid,
  lvoltype: VolumeType.MIRROR,
  capacity,
  mirror_status: MemberStatus.INSYNC,
  lvolspec: { version: 1 },
  labels: [],
  components,
});

const { ALLOCATED, INSYNC, SPARE, FAULTY, NEEDSHRED } = MemberStatus;

const linear = {
  lvolid: 0x92,
  lvoltype: VolumeType.LINEAR,
  capacity: 21,
  mirror_status: SPARE,
  lvolspec: {},
  labels: [],
  components: [
    mirror(0x93, 10, [extent(0x94, 1, 0, INSYNC), extent(0x95, 2, 10, SPARE), extent(0x96, 3, 20, FAULTY)]),
    mirror(0x97, 10, [extent(0x98, 4, 123_456, ALLOCATED), extent(0x99, 5, 5, NEEDSHRED)]),
    mirror(0x9a, 1, [extent(0x9b, 1, 10, INSYNC)]),
  ],
};

const shown = { capacity: 21, mirror_status: SPARE, labels: [] };

export const layout: VolumeNode = {
  ...shown,
  lvolid: 0x91,
  lvoltype: VolumeType.LVOL,
  lvolspec: { lvolname: "data", redundancy: 3, assoc: [], ctime: "2026-11-21T07:25:40" },
  components: [linear],
};

export const snapshotLayout: SnapshotNode = {
  ...shown,
  lvolid: 0xa1,
  lvoltype: VolumeType.LVOL,
  lvolspec: { lvolname: LONG_NAME, redundancy: 3, assoc: [], ctime: "2026-11-21T07:25:40" },
  components: [
    {
      ...shown,
      lvolid: 0xa2,
      lvoltype: VolumeType.SNAPSHOT,
      lvolspec: { origin_lvolid: 0xa3 },
      components: [linear],
    },
  ],
};

export const events: readonly EventInfo[] = [
  {
    eventid: 0,
    target: 2,
    targetid: 1,
    event: 1,
    event_status: 0,
    time: "2026-11-21T07:25:40",
    sentence: "storage server ssvr-00000001 was reported as failed",
    progress: -1,
    attempts: 0,
    last_error: "",
  },
  {
    eventid: 5,
    target: 4,
    targetid: 0x94,
    event: 2,
    event_status: 2,
    time: "2026-11-21T07:26:01",
    sentence: `dext-00000094 of ${LONG_NAME} is resynced from dext-00000095`,
    progress: 42.7,
    attempts: 12,
    last_error: "EHOSTDOWN: attachLogicalVolume reached none of 192.168.120.101:8882 (ECONNREFUSED).",
  },
];
