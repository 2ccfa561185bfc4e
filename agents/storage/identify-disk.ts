import { showDisk } from "../../shared/ids.js";
import { type DiskLabel, isBlank, readLabel, writeLabel } from "./disk-label.js";
import type { DiskRecord } from "./disk-records.js";
import { DiskRefusedError, type OpenDisk } from "./disks.js";

/** What decides who a disk is. */
export interface IdentifyOptions {
  /** The cluster that we belong to. */
  readonly cluster: string;
  readonly records: readonly DiskRecord[];
  /** The operator's word that data which is not ours may be overwritten. */
  readonly force: boolean;
}

/**
 * Finds out which disk this is (rule R12). The label of a disk that grew is looked for where it was, and written to its
 * new place before anything else is done with the disk.
 *
 * @returns its pdskid; undefined for a blank disk, or one that may be taken for blank, which is to be registered as new
 * @throws DiskRefusedError with a sentence that says what is in the way
 */
export async function identifyDisk(disk: OpenDisk, options: IdentifyOptions): Promise<number | undefined> {
  const { cluster, force } = options;
  const found = await readLabel(disk.handle, disk.bytes);
  if (found.kind === "label" && found.label.cluster === cluster) {
    return (await acceptLabel(disk, found.label)).pdskid;
  }
  if (found.kind === "label" && !force) {
    throw new DiskRefusedError(
      `the disk ${disk.path} is ${showDisk(found.label.pdskid)} of another cluster, ${found.label.cluster}, not of ${cluster}; with "force = true" it is overwritten`,
    );
  }
  const moved = await findOldLabel(disk, options);
  if (moved !== undefined) return (await acceptLabel(disk, moved)).pdskid;
  if (!force) await assertBlank(disk, found.kind);
  return undefined;
}

/** A label whose disk has another size now is written anew, at the place that the size asks for. */
async function acceptLabel(disk: OpenDisk, label: DiskLabel): Promise<DiskLabel> {
  if (label.bytes > disk.bytes) {
    throw new DiskRefusedError(
      `the disk ${disk.path}, ${showDisk(label.pdskid)}, had ${label.bytes} bytes and now has ${disk.bytes}: a disk can't shrink`,
    );
  }
  if (label.bytes === disk.bytes) return label;
  const grown = { ...label, bytes: disk.bytes };
  await writeLabel(disk.handle, grown);
  return grown;
}

/** The label at the old end of a disk that we knew when it was smaller. */
async function findOldLabel(disk: OpenDisk, options: IdentifyOptions): Promise<DiskLabel | undefined> {
  for (const record of options.records) {
    if (record.bytes >= disk.bytes) continue;
    const found = await readLabel(disk.handle, record.bytes);
    if (found.kind !== "label") continue;
    const { cluster, pdskid, bytes } = found.label;
    if (cluster === options.cluster && pdskid === record.pdskid && bytes === record.bytes) return found.label;
  }
  return undefined;
}

async function assertBlank(disk: OpenDisk, found: "label" | "damaged" | "none"): Promise<void> {
  if (found === "damaged") {
    throw new DiskRefusedError(
      `the label of the disk ${disk.path} is damaged; with "force = true" the disk is overwritten and used as a new one`,
    );
  }
  if (await isBlank(disk.handle, disk.bytes)) return;
  throw new DiskRefusedError(
    `the disk ${disk.path} is not blank: it holds data that is not ours; with "force = true" it is overwritten`,
  );
}
