import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import type { Call, Outcome } from "./clients.js";

const NOBODY = 999_999_999;

/** What the calls refer to. */
export interface Setting {
  readonly hsvrid: number;
  /** A head server that was reported as failed. */
  readonly failedHead: number;
  readonly headAddress: string;
  readonly ssvrid: number;
}

/** A volume's life and every kind of fault on its way. In the end all is as it was, so that the next client can follow. */
export function lifeOfVolume({ hsvrid, failedHead, headAddress, ssvrid }: Setting): readonly Call[] {
  const volume = { lvolname: "foreign" };
  const snapshot = { origin_lvolname: "foreign", snapshot_lvolname: "foreign-snapshot" };
  return [
    ["createLogicalVolume", { ...volume, capacity: 1, redundancy: 2 }],
    ["createLogicalVolume", { ...volume, capacity: 1, redundancy: 2 }],
    ["createLogicalVolume", { lvolname: "größe <&>", capacity: 1 }],
    ["createLogicalVolume", { lvolname: "wide", capacity: 1, redundancy: true }],
    ["createLogicalVolume", { lvolname: "wide", capacity: 1, redundancy: 9 }],
    ["createLogicalVolume", { lvolname: "half", capacity: 0.5 }],
    ["listLogicalVolumes", volume],
    ["showLogicalVolume", volume],
    ["attachLogicalVolume", { ...volume, hsvrid: NOBODY }],
    ["attachLogicalVolume", { ...volume, hsvrid }],
    ["attachLogicalVolume", { ...volume, hsvrid }],
    ["deleteLogicalVolume", volume],
    ["createSnapshot", snapshot],
    ["createSnapshot", snapshot],
    ["showLogicalVolume", volume],
    ["listLogicalVolumes", {}],
    ["detachLogicalVolume", { lvolname: snapshot.snapshot_lvolname }],
    ["deleteLogicalVolume", { lvolname: snapshot.snapshot_lvolname }],
    ["detachLogicalVolume", volume],
    ["detachLogicalVolume", volume],
    ["deleteLogicalVolume", volume],
    ["showLogicalVolume", volume],
    ["showLogicalVolume", {}],
    ["listHeadServers", {}],
    ["listHeadServers", { hsvrid: NOBODY }],
    ["listPhysicalDisks", { ssvrid: "1" }],
    ["registerHeadServer", { ip_data: [headAddress], starting: true }],
    ["registerHeadServer", { ip_data: ["größe"] }],
    ["registerPhysicalDisk", { ssvrid, local_path: "", capacity: "16777216" }],
    ["notifyFailure", { target: 1, targetid: failedHead }],
    ["notifyFailure", { target: 1, targetid: NOBODY }],
    ["notifyFailure", { target: 9, targetid: 1 }],
    ["checkState", { ver: 4 }],
    ["checkState", { ver: "5" }],
    ["checkState", {}],
    ["noSuchMethod", {}],
  ];
}

/** Members that differ from one life of a volume to the next: of these, only the type must be the same. */
const CHANGING = new Set([
  "lvolid",
  "origin_lvolid",
  "offset",
  "generation",
  "pdskid",
  "ssvrid",
  "iscsi_path",
  "ctime",
]);

/** Ids are in sentences and in labels, too. */
const withoutIds = (text: string): string => text.replaceAll(/\b(lvol|dext|mirr)-[0-9a-f]{8}\b/g, "$1-#");

function withoutChanging(value: unknown): unknown {
  if (typeof value === "string") return withoutIds(value);
  if (Array.isArray(value)) return value.map(withoutChanging);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value as XmlRpcStruct).map(([name, member]) => [
    name,
    CHANGING.has(name) ? typeof member : withoutChanging(member),
  ]);
  return Object.fromEntries(members);
}

/** What two clients must agree on. */
export function comparable(outcomes: readonly Outcome[], calls: readonly Call[]): unknown[] {
  return outcomes.map((outcome, index) => {
    const [method = ""] = calls[index] ?? [];
    if ("text" in outcome) {
      return [method, outcome.code, withoutIds(outcome.text)];
    }
    return [method, method.startsWith("create") ? typeof outcome.value : withoutChanging(outcome.value)];
  });
}
