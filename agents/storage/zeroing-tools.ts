import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describeError, VasError } from "../../shared/errors.js";
import { parseShownId, showDisk } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import type { Milliseconds } from "../../shared/units.js";
import { kill9AndWait } from "../common/detached-process.js";
import { damaged, readDurable, syncFolder, writeDurable } from "../common/durable-file.js";
import { type ProcessRecord, processRecord, recordProcess } from "../common/process-record.js";

const GONE_MS: Milliseconds = 4000;
const ENDING = ".zeroing.json";

/**
 * The tools that zero extents of disks, one at a time for each disk. A tool survives an agent that is killed, and would
 * zero what was shredded again, given away and written since. So each is recorded durably before it may begin, and those of
 * an earlier life are ended before anything new happens to their disk.
 */
export class ZeroingTools {
  readonly #folder: string;
  readonly #leftOvers: Map<number, ProcessRecord>;

  private constructor(folder: string, leftOvers: Map<number, ProcessRecord>) {
    this.#folder = folder;
    this.#leftOvers = leftOvers;
  }

  /** @throws DamagedFileError: a tool that can't be found can't be ended */
  static async open(folder: string): Promise<ZeroingTools> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const leftOvers = new Map<number, ProcessRecord>();
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const pdskid = name.endsWith(ENDING) ? parseShownId("pdsk", name.slice(0, -ENDING.length)) : undefined;
      if (pdskid === undefined) {
        await rm(path, { force: true });
        continue;
      }
      const parsed = processRecord.safeParse(await readDurable(path));
      if (!parsed.success) throw damaged(path, "it does not tell which process zeroes a disk");
      leftOvers.set(pdskid, parsed.data);
    }
    await syncFolder(folder);
    return new ZeroingTools(folder, leftOvers);
  }

  /** Writes down which process is about to zero a disk; when this returns, it may begin. */
  async record(pdskid: number, pid: number): Promise<void> {
    const what = `the tool that zeroes ${showDisk(pdskid)}`;
    const record = recordProcess(pid, what);
    if (record === undefined) throw new Error(`${what} ended at once`);
    await writeDurable(join(this.#folder, `${showDisk(pdskid)}${ENDING}`), record);
  }

  /**
   * Ends what an earlier life of ours left at work on a disk.
   *
   * @throws VasError EAGAIN if it can't be ended now
   */
  async endLeftOver(pdskid: number): Promise<void> {
    const record = this.#leftOvers.get(pdskid);
    if (record === undefined) return;
    try {
      await kill9AndWait(record, GONE_MS);
    } catch (cause) {
      throw new VasError("EAGAIN", `a left-over can't be ended: ${describeError(cause)}`, { cause });
    }
    this.#leftOvers.delete(pdskid);
  }

  /** Ends what can be ended on any disk. What can't is tried again by whoever needs the disk. */
  async endLeftOvers(log: Log): Promise<void> {
    const ends = [...this.#leftOvers.keys()].map((pdskid) =>
      this.endLeftOver(pdskid).catch((error: unknown) => log.error(describeError(error))),
    );
    await Promise.all(ends);
  }
}
