import { mkdir, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { showDisk, showVolume } from "../../shared/ids.js";
import { chap, grantedExtent } from "../../shared/methods/agent-methods.js";
import { damaged, readDurable, syncFolder, writeDurable } from "../common/durable-file.js";
import type { GenerationMap } from "./generation-map.js";
import type { VolumeAccess } from "./grant-rules.js";

const volumeDocument = z.object({
  lvolid: z.number().int(),
  revoked: z.number().int(),
  grant: z
    .object({
      epoch: z.number().int(),
      hsvrid: z.number().int(),
      version: z.number().int(),
      extents: z.array(grantedExtent),
      chap: chap.optional(),
    })
    .optional(),
  concerned: z.array(z.number().int()).default([]),
});

const generationsDocument = z.object({
  runs: z.array(
    z.object({
      start: z.number().int(),
      end: z.number().int(),
      generation: z.number().int(),
      zeroed: z.boolean(),
    }),
  ),
});

/** A volume as it is written down. */
export interface RecordedVolume {
  readonly volume: VolumeAccess;
  /** The disks whose exports have to obey the newest change before it may be answered. */
  readonly concerned: readonly number[];
}

/** Where access is written down: a file for each volume ever heard of, and one for each disk. */
export class AccessFiles {
  readonly #volumes: string;
  readonly #disks: string;

  private constructor(folder: string) {
    this.#volumes = join(folder, "volumes");
    this.#disks = join(folder, "disks");
  }

  static async open(folder: string): Promise<AccessFiles> {
    const files = new AccessFiles(folder);
    for (const path of [files.#volumes, files.#disks]) await mkdir(path, { recursive: true, mode: 0o700 });
    await syncFolder(folder);
    return files;
  }

  /** @throws DamagedFileError: a volume whose closed epochs are forgotten could be written by a head that was fenced */
  async readVolumes(): Promise<RecordedVolume[]> {
    const volumes: RecordedVolume[] = [];
    for (const name of await readdir(this.#volumes)) {
      const path = join(this.#volumes, name);
      if (!name.endsWith(".json")) {
        await unlink(path);
        continue;
      }
      const parsed = volumeDocument.safeParse(await readDurable(path));
      if (!parsed.success) throw damaged(path, "it does not say what a volume may touch");
      const { lvolid, revoked, grant, concerned } = parsed.data;
      volumes.push({ volume: { lvolid, revoked, grant }, concerned });
    }
    return volumes;
  }

  async writeVolume({ volume, concerned }: RecordedVolume): Promise<void> {
    const path = join(this.#volumes, `${showVolume(volume.lvolid)}.json`);
    await writeDurable(path, { ...volume, concerned });
  }

  async readGenerations(pdskid: number): Promise<GenerationMap> {
    const path = this.#generationsPath(pdskid);
    const found = await readDurable(path);
    if (found === undefined) return [];
    const parsed = generationsDocument.safeParse(found);
    if (!parsed.success) throw damaged(path, "it does not tell the generations of a disk");
    return parsed.data.runs;
  }

  async writeGenerations(pdskid: number, runs: GenerationMap): Promise<void> {
    await writeDurable(this.#generationsPath(pdskid), { runs });
  }

  #generationsPath(pdskid: number): string {
    return join(this.#disks, `${showDisk(pdskid)}.generations.json`);
  }
}
