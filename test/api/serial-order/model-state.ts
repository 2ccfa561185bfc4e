import { BindEvent, BindStatus } from "../../../shared/states.js";

/** What the model knows of a volume or snapshot: what a client can see, and what decides the next answer. */
export interface ModelVolume {
  readonly id: number;
  readonly name: string;
  readonly capacity: number;
  readonly redundancy: number;
  /** Of a snapshot; undefined for a volume. */
  readonly origin: number | undefined;
  snapshot: "" | "CREATING" | "VALID" | "DELETING";
  head: number;
  status: BindStatus;
  event: BindEvent;
  epochOpen: boolean;
  /** Its space was granted to a head at some time. */
  wasServed: boolean;
}

/** The volumes and heads of a cluster, as a person would keep them on paper. */
export class ModelState {
  readonly volumes = new Map<number, ModelVolume>();
  readonly heads = new Map<number, "up" | "down">();
  /** Open jobs of volumes: which one each is about. */
  readonly jobs = new Map<number, { readonly kind: string; readonly volume: number }>();
  /** How jobs ended: an errno name, or empty. */
  readonly outcomes = new Map<number, string>();
  highestId = 0;

  find(ref: {
    readonly lvolid?: number | undefined;
    readonly lvolname?: string | undefined;
  }): ModelVolume | undefined {
    if (ref.lvolid !== undefined && ref.lvolid !== 0) return this.volumes.get(ref.lvolid);
    return this.named(ref.lvolname ?? "");
  }

  named(name: string): ModelVolume | undefined {
    return [...this.volumes.values()].find((volume) => volume.name === name);
  }

  snapshotsOf(id: number): ModelVolume[] {
    return [...this.volumes.values()].filter(({ origin }) => origin === id);
  }

  /** The volume whose binding counts for it. */
  attachmentOf(volume: ModelVolume): ModelVolume {
    return volume.origin === undefined ? volume : this.get(volume.origin);
  }

  get(id: number): ModelVolume {
    const volume = this.volumes.get(id);
    if (volume === undefined) throw new Error(`the model has no volume ${id}`);
    return volume;
  }

  /** All that a list without a name shows. */
  listed(): ModelVolume[] {
    return [...this.volumes.values()]
      .filter(({ snapshot }) => snapshot !== "DELETING")
      .sort((a, b) => a.id - b.id);
  }

  unbind(volume: ModelVolume): void {
    Object.assign(volume, { status: BindStatus.UNBOUND, event: BindEvent.NONE, head: 0, epochOpen: false });
  }

  endJob(jobid: number, outcome: string): void {
    this.outcomes.set(jobid, outcome);
    this.jobs.delete(jobid);
  }
}
