import { join } from "node:path";
import { showDisk } from "../../shared/ids.js";
import { readDurable } from "../common/durable-file.js";
import {
  findByArguments,
  isGroupAlive,
  type ProcessRecord,
  processRecord,
} from "../common/process-record.js";

/** What an export process is told at its start. */
export interface ExportSpec {
  readonly pdskid: number;
  readonly path: string;
  /** Size of the export. */
  readonly bytes: number;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly bootId: string;
  readonly controlSocket: string;
  readonly grantsFile: string;
  readonly logFormat: string;
  readonly logLevel: string;
}

/** Where a file of a disk's export is. */
export function exportFile(folder: string, pdskid: number, ending: string): string {
  return join(folder, `${showDisk(pdskid)}.${ending}`);
}

/**
 * The living export process of a disk, by its record or, if we died before writing one, by its command line. What a dead
 * one started and left behind stands for it.
 */
export async function findExport(
  folder: string,
  entry: string,
  pdskid: number,
): Promise<ProcessRecord | undefined> {
  const found = processRecord.safeParse(
    await readDurable(exportFile(folder, pdskid, "process.json")).catch(() => undefined),
  );
  if (found.success && isGroupAlive(found.data)) return found.data;
  return findByArguments([entry, exportFile(folder, pdskid, "spec.json")], `export of ${showDisk(pdskid)}`);
}
