import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { describeError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import { readDurable, writeDurable } from "../common/durable-file.js";

const document = z.object({
  startedAt: z.number(),
  position: z.number().int().min(0).nullable(),
  unreported: z.array(z.number().int().min(0)),
  found: z.number().int().min(0),
});

/** How far the scrub of a disk is. */
export interface ScrubRecord {
  /** Wall-clock time at which the last pass began, or the disk was first seen. */
  readonly startedAt: number;
  /** The byte of the disk at which the pass goes on; null if it has ended. */
  readonly position: number | null;
  /** Bad blocks that the manager was not told of yet. */
  readonly unreported: readonly number[];
  /** Blocks with unreadable places that this pass has found. */
  readonly found: number;
}

/** The scrubs of a server, durable: a pass goes on after a restart. */
export class ScrubRecords {
  readonly #known = new Map<number, ScrubRecord>();

  private constructor(
    private readonly folder: string,
    private readonly log: Log,
  ) {}

  static async open(folder: string, log: Log): Promise<ScrubRecords> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new ScrubRecords(folder, log);
  }

  /** @returns undefined if there is none that can be used: the next pass begins at the start */
  async read(pdskid: number): Promise<ScrubRecord | undefined> {
    const known = this.#known.get(pdskid);
    if (known !== undefined) return known;
    try {
      const found = await readDurable(this.#path(pdskid));
      return found === undefined ? undefined : document.parse(found);
    } catch (error) {
      this.log.warn(`the scrub of ${showDisk(pdskid)} begins anew: ${describeError(error)}`);
      return undefined;
    }
  }

  async write(pdskid: number, record: ScrubRecord): Promise<void> {
    await writeDurable(this.#path(pdskid), record);
    this.#known.set(pdskid, record);
  }

  #path(pdskid: number): string {
    return join(this.folder, `${showDisk(pdskid)}.json`);
  }
}
