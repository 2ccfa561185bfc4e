import { z } from "zod";
import { damaged, readDurable, writeDurable } from "../common/durable-file.js";
import { InTurn } from "../common/in-turn.js";

const document = z.object({
  disks: z.array(z.object({ path: z.string(), pdskid: z.number().int(), bytes: z.number().int() })),
  intents: z.array(z.string()),
});

/** A disk that was labelled or verified here. */
export interface DiskRecord {
  readonly path: string;
  readonly pdskid: number;
  /** Size of the disk then, from which the place of its label follows. */
  readonly bytes: number;
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

  /** Remembers a disk whose label is in place, instead of what stood at its path and where it was before. */
  remember(disk: DiskRecord): Promise<void> {
    return this.#turns.run(async () => {
      const { path, pdskid, bytes } = disk;
      const known = this.#disks.find((other) => other.pdskid === pdskid);
      if (known?.path === path && known.bytes === bytes && !this.isIntended(path)) return;
      const others = this.#disks.filter((other) => other.path !== path && other.pdskid !== pdskid);
      const intents = this.#intents.filter((other) => other !== path);
      await this.#save([...others, { path, pdskid, bytes }], intents);
    });
  }

  async #save(disks: readonly DiskRecord[], intents: readonly string[]): Promise<void> {
    await writeDurable(this.#path, { disks, intents });
    this.#disks = disks;
    this.#intents = intents;
  }
}
