import { snapshotCapacity } from "../../../shared/snapshot-space.js";
import { BindEvent, BindStatus } from "../../../shared/states.js";
import type { ModelState, ModelVolume } from "./model-state.js";

/** A call as the log and its client tell it. */
export interface ModelCall {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** What the API must answer to a call in a state: the name of an error, or that it is done. */
export type Verdict = { readonly errno: string } | { readonly done: true; readonly needsJob: boolean };

const done: Verdict = { done: true, needsJob: false };
const begun: Verdict = { done: true, needsJob: true };
const refuse = (errno: string): Verdict => ({ errno });

type Ref = { readonly lvolid?: number; readonly lvolname?: string };

/** By the reference and the decisions of the API, for each method that the clients of this test call. */
export function judge(state: ModelState, { method, params }: ModelCall): Verdict {
  switch (method) {
    case "createLogicalVolume":
      return state.named(params.lvolname as string) === undefined ? done : refuse("EEXIST");
    case "createSnapshot":
      return judgeSnapshot(state, params);
    case "deleteLogicalVolume":
      return judgeDelete(state, state.find(params as Ref));
    case "attachLogicalVolume":
      return judgeAttach(state, state.find(params as Ref), params.hsvrid as number);
    case "detachLogicalVolume":
      return judgeDetach(state, state.find(params as Ref));
    case "notifyFailure":
      return state.heads.has(params.targetid as number) ? done : refuse("ENOENT");
    case "listLogicalVolumes":
      return Object.keys(params).length === 0 || state.find(params as Ref) !== undefined
        ? done
        : refuse("ENOENT");
    default:
      return state.find(params as Ref) === undefined ? refuse("ENOENT") : done;
  }
}

function judgeSnapshot(state: ModelState, params: ModelCall["params"]): Verdict {
  const ref = { lvolid: params.origin_lvolid, lvolname: params.origin_lvolname } as Ref;
  const origin = state.find(ref);
  if (origin === undefined) return refuse("ENOENT");
  if (origin.origin !== undefined) return refuse("EINVAL");
  if (state.named(params.snapshot_lvolname as string) !== undefined) return refuse("EEXIST");
  if (origin.event !== BindEvent.NONE || origin.status === BindStatus.ERROR) return refuse("EAGAIN");
  return origin.status === BindStatus.BOUND ? begun : done;
}

function judgeDelete(state: ModelState, volume: ModelVolume | undefined): Verdict {
  if (volume === undefined) return refuse("ENOENT");
  if (volume.origin === undefined) {
    const isFree = volume.status === BindStatus.UNBOUND && volume.event === BindEvent.NONE;
    return isFree && state.snapshotsOf(volume.id).length === 0 ? done : refuse("EBUSY");
  }
  if (volume.snapshot !== "VALID") return refuse("EBUSY");
  const origin = state.get(volume.origin);
  if (!origin.epochOpen) return done;
  return origin.status === BindStatus.BOUND && origin.event === BindEvent.NONE ? begun : refuse("EBUSY");
}

function judgeAttach(state: ModelState, volume: ModelVolume | undefined, head: number): Verdict {
  if (volume === undefined) return refuse("ENOENT");
  if (!state.heads.has(head) || volume.origin !== undefined) return refuse("EINVAL");
  if (volume.status !== BindStatus.UNBOUND || volume.event !== BindEvent.NONE) return refuse("EBUSY");
  return state.heads.get(head) === "up" ? begun : refuse("EHOSTDOWN");
}

function judgeDetach(state: ModelState, volume: ModelVolume | undefined): Verdict {
  if (volume === undefined) return refuse("ENOENT");
  if (volume.origin !== undefined) return refuse("EINVAL");
  if (volume.event !== BindEvent.NONE) return refuse("EAGAIN");
  if (volume.status === BindStatus.UNBOUND) return done;
  return state.snapshotsOf(volume.id).some(({ snapshot }) => snapshot !== "VALID") ? refuse("EAGAIN") : begun;
}

/** What a list must say of a volume, besides when it was created and why an attach failed. */
export function showInList(state: ModelState, volume: ModelVolume): Record<string, unknown> {
  const attachment = state.attachmentOf(volume);
  const listed = state.snapshotsOf(volume.id).filter(({ snapshot }) => snapshot !== "DELETING");
  const association = (id: number) => ({ lvolid: id, type: "snapshot" });
  return {
    hsvrid: attachment.head,
    lvolid: volume.id,
    lvolname: volume.name,
    redundancy: volume.redundancy,
    capacity: volume.capacity,
    associated_to: volume.origin === undefined ? [] : [association(volume.origin)],
    associated_from: listed.map(({ id }) => association(id)).sort((a, b) => a.lvolid - b.lvolid),
    fault: false,
    bind_status: attachment.status,
    bind_event: attachment.event,
    snapshot_status: volume.snapshot,
  };
}

/** The volume or snapshot that a successful create makes. */
export function born(state: ModelState, { method, params }: ModelCall, id: number): ModelVolume {
  const base = { id, head: 0, status: BindStatus.UNBOUND, event: BindEvent.NONE, epochOpen: false } as const;
  if (method === "createLogicalVolume") {
    return {
      ...base,
      name: params.lvolname as string,
      capacity: params.capacity as number,
      redundancy: (params.redundancy as number | undefined) ?? 3,
      origin: undefined,
      snapshot: "",
      wasServed: false,
    };
  }
  const ref = { lvolid: params.origin_lvolid, lvolname: params.origin_lvolname } as Ref;
  const origin = state.find(ref) as ModelVolume;
  const isAttached = origin.status === BindStatus.BOUND;
  return {
    ...base,
    name: params.snapshot_lvolname as string,
    capacity: snapshotCapacity(origin.capacity),
    redundancy: origin.redundancy,
    origin: origin.id,
    snapshot: isAttached ? "CREATING" : "VALID",
    wasServed: isAttached,
  };
}
