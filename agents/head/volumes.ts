import { describeError, VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import { allMirrorsOf, type ParsedSnapshot } from "../../shared/layout-tree.js";
import { InTurn } from "../common/in-turn.js";
import { findByArguments, isAlive } from "../common/process-record.js";
import { AttachedVolume, type VolumeSurroundings } from "./attached-volume.js";
import type { VolumeDocument } from "./volume-files.js";

/** The volumes that are attached to this head. Each has its own turn: what is asked for one does not wait for another. */
export class Volumes {
  readonly #around: VolumeSurroundings;
  readonly #volumes = new Map<number, AttachedVolume>();
  readonly #turns = new Map<number, InTurn>();

  /** @param onGone called when a volume ended by itself, after it is off the list */
  constructor(around: Omit<VolumeSurroundings, "onGone">, onGone: () => void) {
    const forget = (volume: AttachedVolume): void => {
      if (this.#volumes.get(volume.lvolid) === volume) this.#volumes.delete(volume.lvolid);
      onGone();
    };
    this.#around = { ...around, onGone: forget };
  }

  /**
   * Finds the processes of an earlier life of ours again. A volume whose process is dead is forgotten: it was not served –
   * unless it is there without it.
   */
  async adoptAll(): Promise<void> {
    const { files, log } = this.#around;
    for (const document of await files.readAll()) {
      const record = this.#findProcess(document);
      const { remains } = this.#around.program;
      if (record === undefined && (await remains?.isThere(document.lvolid))) {
        const volume = new AttachedVolume(this.#around, { ...document, process: null });
        this.#volumes.set(document.lvolid, volume);
        volume.goOn();
        continue;
      }
      if (record === undefined) {
        try {
          await remains?.takeDown(document.lvolid, document.epoch);
        } catch (error) {
          // The others need us. Before it is attached again, and at our next start, it is taken down.
          log.error(
            { err: error },
            `${showVolume(document.lvolid)} can't be taken down: ${describeError(error)}`,
          );
          continue;
        }
        log.warn(
          `${showVolume(document.lvolid)} is not served any more: its process ended while we were away`,
        );
        await files.remove(document.lvolid);
        continue;
      }
      const volume = new AttachedVolume(this.#around, { ...document, process: record });
      volume.adopt(record);
      this.#volumes.set(document.lvolid, volume);
      log.info(`${showVolume(document.lvolid)} is served by process ${record.pid}`);
    }
  }

  /** What the manager is told. A volume whose process is being started again is among them. */
  running(): { readonly lvolid: number; readonly epoch: number }[] {
    return [...this.#volumes.values()].map(({ lvolid, epoch }) => ({ lvolid, epoch }));
  }

  get all(): readonly AttachedVolume[] {
    return [...this.#volumes.values()];
  }

  /**
   * Has a volume served; a process of a lower epoch is ended first.
   *
   * @param attached.maintenance no client is to open it
   * @param stopping aborted when we are to end: the process that was started is then left alone
   * @throws VasError ESTALE if a higher epoch is served, or this one or a higher one was detached; else see `AttachedVolume.untilServing`
   */
  attach(
    attached: Pick<VolumeDocument, "lvolstruct" | "epoch" | "maintenance" | "chap">,
    stopping: AbortSignal,
  ): Promise<void> {
    const { epoch } = attached;
    const { lvolid } = attached.lvolstruct;
    // One of a lower epoch that is still starting is not waited for.
    const starting = this.#volumes.get(lvolid);
    if (starting !== undefined && starting.epoch < epoch) starting.abandonStart();
    return this.#turnOf(lvolid).run(async () => {
      const known = this.#volumes.get(lvolid);
      if (known?.epoch === epoch) return known.untilServing();
      await this.#assertNotDetached(lvolid, epoch);
      if (known !== undefined) await this.#endLower(known, epoch);
      stopping.throwIfAborted();
      const document = { ...attached, lvolid, joining: [], process: null };
      const volume = new AttachedVolume(this.#around, document);
      this.#volumes.set(lvolid, volume);
      try {
        await volume.launch();
        await volume.untilServing();
      } catch (error) {
        if (!stopping.aborted) await this.#end(volume);
        throw error;
      }
    });
  }

  /**
   * Has a volume flushed and its process ended. When it returns, no process of that epoch or a lower one lives, and none
   * will: an attach that was held up on its way is refused.
   *
   * @param epoch undefined if the caller knows of none: then of any epoch, and nothing is remembered
   * @throws VasError EBUSY, ETIMEDOUT, see `AttachedVolume.detach`
   */
  detach(lvolid: number, epoch: number | undefined): Promise<void> {
    const isMeant = (volume: AttachedVolume | undefined): volume is AttachedVolume =>
      volume !== undefined && (epoch === undefined || volume.epoch <= epoch);
    const starting = this.#volumes.get(lvolid);
    if (isMeant(starting)) starting.abandonStart();
    return this.#turnOf(lvolid).run(async () => {
      const volume = this.#volumes.get(lvolid);
      if (isMeant(volume)) {
        await volume.detach();
        this.#volumes.delete(lvolid);
      }
      if (epoch !== undefined) await this.#around.files.writeDetached(lvolid, epoch);
    });
  }

  /**
   * Has a snapshot taken of a volume that is served.
   *
   * @throws VasError ENOENT if that epoch of the volume is not served here, else see `AttachedVolume.createSnapshot`
   */
  createSnapshot(lvolid: number, epoch: number, snapshot: ParsedSnapshot, jobid: number): Promise<void> {
    return this.#turnOf(lvolid).run(async () => {
      const volume = this.#volumes.get(lvolid);
      if (volume?.epoch !== epoch)
        throw new VasError("ENOENT", `epoch ${epoch} of ${showVolume(lvolid)} is not served here`);
      await volume.createSnapshot(snapshot, jobid);
    });
  }

  /** Has a snapshot ended. One of a volume or epoch that is not served here is not used here. @throws VasError EBUSY, EAGAIN */
  deleteSnapshot(lvolid: number, epoch: number, snapshotLvolid: number, jobid: number): Promise<void> {
    return this.#turnOf(lvolid).run(async () => {
      const volume = this.#volumes.get(lvolid);
      if (volume?.epoch === epoch) await volume.deleteSnapshot(snapshotLvolid, jobid);
    });
  }

  /** The volume that has a mirror; by the mirror alone for callers of the original protocol. */
  findByMirror(mirrorid: number, lvolid: number | undefined): AttachedVolume | undefined {
    for (const volume of this.#volumes.values()) {
      if (lvolid !== undefined && volume.lvolid !== lvolid) continue;
      if (allMirrorsOf(volume.document.lvolstruct).some((mirror) => mirror.lvolid === mirrorid))
        return volume;
    }
    return undefined;
  }

  /** Ends everything: volumes are flushed where that can be had, and ended in any case. */
  async stopAll(): Promise<void> {
    const ends = [...this.#volumes.values()].map(async (volume) => {
      try {
        await volume.detach();
      } catch (error) {
        this.#around.log.warn(`${showVolume(volume.lvolid)} is ended as it is: ${describeError(error)}`);
        await volume.end();
      }
    });
    await Promise.allSettled(ends);
  }

  /** Leaves all volume processes to themselves. */
  release(): void {
    for (const volume of this.#volumes.values()) volume.release();
  }

  async #assertNotDetached(lvolid: number, epoch: number): Promise<void> {
    const detached = await this.#around.files.readDetached(lvolid);
    if (epoch > detached) return;
    throw new VasError(
      "ESTALE",
      `epoch ${epoch} of ${showVolume(lvolid)} is past, epoch ${detached} was detached`,
    );
  }

  async #endLower(known: AttachedVolume, epoch: number): Promise<void> {
    if (known.epoch > epoch) {
      throw new VasError(
        "ESTALE",
        `epoch ${epoch} of ${showVolume(known.lvolid)} is past, ${known.epoch} is served`,
      );
    }
    await this.#end(known);
  }

  async #end(volume: AttachedVolume): Promise<void> {
    await volume.end();
    if (this.#volumes.get(volume.lvolid) === volume) this.#volumes.delete(volume.lvolid);
  }

  #findProcess({ lvolid, process }: VolumeDocument) {
    if (process !== null && isAlive(process)) return process;
    const { program, files } = this.#around;
    return findByArguments([program.entry, files.specFile(lvolid)], `process of ${showVolume(lvolid)}`);
  }

  #turnOf(lvolid: number): InTurn {
    const turn = this.#turns.get(lvolid) ?? new InTurn();
    this.#turns.set(lvolid, turn);
    return turn;
  }
}
