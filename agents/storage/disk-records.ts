import { z } from "zod";
import { damaged, readDurable, writeDurable } from "../common/durable-file.js";
import { InTurn } from "../common/in-turn.js";

const document = z.object({
  disks: z.array(
    z.object({
      path: z.string(),
      pdskid: z.number().int(),
      bytes: z.number().int(),
      deleted: z.boolean().default(false),
    }),
  ),
  intents: z.array(z.string()),
});

/** A disk that was labelled or verified here. */
export interface DiskRecord {
  readonly path: string;
  readonly pdskid: number;
  /** Size of the disk then, from which the place of its label follows. */
  readonly bytes: number;
  /** The manager did not know it when it was last asked: it is nobody's, and is not served. */
  readonly deleted: boolean;
}

/** What this server remembers, durably, of the disks that it had. */
export class DiskRecords {
  readonly #path: string;
  #disks: readonly DiskRecord[];
  #intents: readonly string[];
  readonly #turns = new InTurn();

  private constructor(path: string, disks: readonly DiskRecord[], intents: readonly string[]) {
    this.#path = path;
    this.#disks = disks;
    this.#intents = intents;
  }

  /** @throws DamagedFileError */
  static async load(path: string): Promise<DiskRecords> {
    const found = await readDurable(path);
    if (found === undefined) return new DiskRecords(path, [], []);
    const parsed = document.safeParse(found);
    if (!parsed.success) throw damaged(path, "it does not list disks");
    return new DiskRecords(path, parsed.data.disks, parsed.data.intents);
  }

  get disks(): readonly DiskRecord[] {
    return this.#disks;
  }

  /** Whether we were about to have the blank disk at this path registered when we last heard of it. */
  isIntended(path: string): boolean {
    return this.#intents.includes(path);
  }

  /**
   * Remembers that a blank disk is about to be registered. If we die before its label is written, an id that the
   * manager has for the path is this disk's, and not that of a disk with content which stood there before.
   */
  intend(path: string): Promise<void> {
    return this.#turns.run(async () => {
      if (!this.isIntended(path)) await this.#save(this.#disks, [...this.#intents, path]);
    });
  }

  /** The disk that stands at this path, as far as we know, and that the manager knows. */
  at(path: string): DiskRecord | undefined {
    return this.#disks.find((disk) => disk.path === path && !disk.deleted);
  }

  of(pdskid: number): DiskRecord | undefined {
    return this.#disks.find((disk) => disk.pdskid === pdskid);
  }

  /**
   * Remembers a disk whose label is in place, instead of what stood at its path and where it was before. One that was
   * deleted stays so, and is never forgotten: it must not be served again at our next start.
   */
  remember({ path, pdskid, bytes }: Omit<DiskRecord, "deleted">): Promise<void> {
    return this.#turns.run(async () => {
      const known = this.of(pdskid);
      const deleted = known?.deleted ?? false;
      // The overwritten label of a deleted disk is found again if we die before the new one is written.
      const keepsIntent = deleted || !this.isIntended(path);
      if (known?.path === path && known.bytes === bytes && keepsIntent) return;
      const others = this.#disks.filter(
        (other) => other.pdskid !== pdskid && (other.deleted || other.path !== path),
      );
      const intents = deleted ? this.#intents : this.#intents.filter((other) => other !== path);
      await this.#save([...others, { path, pdskid, bytes, deleted }], intents);
    });
  }

  /** Remembers that the manager does not know a disk, or that it knows it again. */
  setDeleted(pdskid: number, deleted: boolean): Promise<void> {
    return this.#turns.run(async () => {
      const known = this.of(pdskid);
      if (known === undefined || known.deleted === deleted) return;
      const others = this.#disks.filter((other) => other.pdskid !== pdskid);
      await this.#save([...others, { ...known, deleted }], this.#intents);
    });
  }

  async #save(disks: readonly DiskRecord[], intents: readonly string[]): Promise<void> {
    await writeDurable(this.#path, { disks, intents });
    this.#disks = disks;
    this.#intents = intents;
  }
}
