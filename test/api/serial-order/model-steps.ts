import { BindEvent, BindStatus } from "../../../shared/states.js";
import { born, type ModelCall } from "./model-answers.js";
import type { ModelState, ModelVolume } from "./model-state.js";

/** One commit of the log, other than those of a client's call: the manager's own steps. */
export interface OwnStep {
  readonly operation: string;
  readonly params: {
    readonly jobid: number;
    readonly lvolid: number;
    readonly error?: { readonly errno: string };
  };
}

/** What the commit of a client's call changes. `id` is what a create answered; `job` the one that it waits for. */
export function applyCall(state: ModelState, call: ModelCall, id: number, job: number | undefined): void {
  const { method, params } = call;
  if (method === "createLogicalVolume" || method === "createSnapshot") {
    const volume = born(state, call, id);
    state.volumes.set(volume.id, volume);
    if (job !== undefined) state.jobs.set(job, { kind: "create-snapshot", volume: volume.id });
    return;
  }
  if (method === "notifyFailure") {
    failHead(state, params.targetid as number);
    return;
  }
  const volume = state.find(params as { lvolid?: number; lvolname?: string });
  if (volume === undefined) throw new Error(`the model has no volume for ${JSON.stringify(call)}`);
  if (method === "deleteLogicalVolume") applyDelete(state, volume, job);
  else if (method === "attachLogicalVolume") applyAttach(state, volume, params.hsvrid as number, job);
  else if (job !== undefined) {
    volume.event = BindEvent.UNBINDING;
    state.jobs.set(job, { kind: "detach", volume: volume.id });
  }
}

function applyDelete(state: ModelState, volume: ModelVolume, job: number | undefined): void {
  if (job === undefined) {
    state.volumes.delete(volume.id);
    return;
  }
  volume.snapshot = "DELETING";
  state.jobs.set(job, { kind: "delete-snapshot", volume: volume.id });
}

function applyAttach(state: ModelState, volume: ModelVolume, head: number, job: number | undefined): void {
  Object.assign(volume, { head, event: BindEvent.BINDING, epochOpen: true, wasServed: true });
  for (const snapshot of state.snapshotsOf(volume.id)) snapshot.wasServed = true;
  if (job !== undefined) state.jobs.set(job, { kind: "attach", volume: volume.id });
}

/** All volumes of a head that was reported as failed are fenced. */
function failHead(state: ModelState, head: number): void {
  state.heads.set(head, "down");
  for (const volume of state.volumes.values()) {
    if (volume.head !== head) continue;
    for (const [jobid, { kind, volume: id }] of [...state.jobs])
      if (id === volume.id && (kind === "attach" || kind === "detach")) state.endJob(jobid, "EHOSTDOWN");
    volume.event = BindEvent.UNBINDING;
    volume.epochOpen = false;
  }
}

/** What a step of a job changes; other steps change nothing that a client of this test sees. */
export function applyStep(state: ModelState, { operation, params }: OwnStep): void {
  const { jobid, lvolid } = params;
  const outcome = params.error?.errno ?? "";
  const volume = state.volumes.get(lvolid);
  switch (operation) {
    case "finishAttach":
      Object.assign(state.get(lvolid), { status: BindStatus.BOUND, event: BindEvent.NONE });
      state.endJob(jobid, outcome);
      break;
    case "failAttach":
      Object.assign(state.get(lvolid), { status: BindStatus.ERROR, event: BindEvent.NONE, epochOpen: false });
      state.endJob(jobid, outcome);
      break;
    case "giveUpAttach":
    case "closeDetached":
      state.get(lvolid).epochOpen = false;
      break;
    case "finishUndo":
    case "finishDetach":
      state.unbind(state.get(lvolid));
      state.endJob(jobid, outcome);
      break;
    case "refuseDetach":
      state.get(lvolid).event = BindEvent.NONE;
      state.endJob(jobid, outcome);
      break;
    case "finishSnapshot":
    case "refuseSnapshotDeletion":
      state.get(lvolid).snapshot = "VALID";
      state.endJob(jobid, outcome);
      break;
    case "finishSnapshotUndo":
    case "finishSnapshotDeletion":
      if (volume !== undefined) state.volumes.delete(lvolid);
      state.endJob(jobid, outcome);
      break;
  }
}
