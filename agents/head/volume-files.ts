import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { showVolume } from "../../shared/ids.js";
import { extentNode, volumeNode } from "../../shared/layout-tree.js";
import { chap } from "../../shared/methods/agent-methods.js";
import { damaged, readDurable, syncFolder, writeDurable } from "../common/durable-file.js";
import { InTurn } from "../common/in-turn.js";
import { processRecord } from "../common/process-record.js";

const volumeDocument = z.object({
  lvolid: z.number().int(),
  epoch: z.number().int(),
  lvolstruct: volumeNode,
  /** It is attached for its copies to be brought in sync: no client can open it. */
  maintenance: z.boolean().default(false),
  /** By which this head is known to storage servers. */
  chap: chap.optional(),
  /** Extents that were to join a mirror since the tree was told, so that a restart knows where they are. */
  joining: z.array(z.object({ mirrorid: z.number().int(), extent: extentNode })),
  process: processRecord.nullable(),
});

/** What is remembered of an attached volume. */
export type VolumeDocument = z.infer<typeof volumeDocument>;

const detachedDocument = z.object({ epoch: z.number().int() });

const incarnationDocument = z.object({ incarnation: z.number().int() });

/**
 * The durable state of a head agent: a document for each attached volume, the highest detached epoch of each volume, and
 * the last incarnation that was given.
 */
export class VolumeFiles {
  readonly #folder: string;
  readonly #turns = new InTurn();
  #incarnation: number;

  private constructor(folder: string, incarnation: number) {
    this.#folder = folder;
    this.#incarnation = incarnation;
  }

  /** @throws DamagedFileError */
  static async open(folder: string): Promise<VolumeFiles> {
    await mkdir(join(folder, "volumes"), { recursive: true, mode: 0o700 });
    await syncFolder(folder);
    const path = join(folder, "incarnation.json");
    const found = await readDurable(path);
    const parsed = incarnationDocument.safeParse(found ?? { incarnation: 0 });
    if (!parsed.success) throw damaged(path, "it holds no incarnation");
    return new VolumeFiles(folder, parsed.data.incarnation);
  }

  /** Where the volume process reads what it is to do. */
  specFile(lvolid: number): string {
    return this.#path(lvolid, "spec.json");
  }

  logFile(lvolid: number): string {
    return this.#path(lvolid, "log");
  }

  /** @throws DamagedFileError */
  async readAll(): Promise<VolumeDocument[]> {
    const documents: VolumeDocument[] = [];
    for (const name of await readdir(join(this.#folder, "volumes"))) {
      if (!/^lvol-[0-9a-f]{8}\.json$/.test(name)) continue;
      const path = join(this.#folder, "volumes", name);
      const parsed = volumeDocument.safeParse(await readDurable(path));
      if (!parsed.success) throw damaged(path, "it does not describe an attached volume");
      documents.push(parsed.data);
    }
    return documents;
  }

  async write(document: VolumeDocument): Promise<void> {
    await writeDurable(this.#path(document.lvolid, "json"), document);
  }

  async remove(lvolid: number): Promise<void> {
    for (const path of [this.#path(lvolid, "json"), this.specFile(lvolid)]) await rm(path, { force: true });
    await syncFolder(join(this.#folder, "volumes"));
  }

  /**
   * The highest epoch under which a volume was detached, -1 if it never was.
   *
   * @throws DamagedFileError
   */
  async readDetached(lvolid: number): Promise<number> {
    const path = this.#path(lvolid, "detached.json");
    const parsed = detachedDocument.safeParse((await readDurable(path)) ?? { epoch: -1 });
    if (!parsed.success) throw damaged(path, "it does not tell a detached epoch");
    return parsed.data.epoch;
  }

  /** Remembers for ever that an epoch was detached. Volume ids do not come again, so the file is never removed. */
  async writeDetached(lvolid: number, epoch: number): Promise<void> {
    if (epoch <= (await this.readDetached(lvolid))) return;
    await writeDurable(this.#path(lvolid, "detached.json"), { epoch });
  }

  /** A start number higher than all before (rule R3); durable before it is used. */
  nextIncarnation(): Promise<number> {
    return this.#turns.run(async () => {
      const incarnation = this.#incarnation + 1;
      await writeDurable(join(this.#folder, "incarnation.json"), { incarnation });
      this.#incarnation = incarnation;
      return incarnation;
    });
  }

  #path(lvolid: number, ending: string): string {
    return join(this.#folder, "volumes", `${showVolume(lvolid)}.${ending}`);
  }
}
